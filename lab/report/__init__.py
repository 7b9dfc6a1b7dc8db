"""Everything that a person reads: pure values in, text for a terminal out. Nothing is decided here.

* `text`: one run. `conclusion`, `picture`, `witnesses`: its first line, the four buffers, the three witnesses.
* `live`: a run while it plays. `judged`: many verdicts. `forecast`, `catalogue`, `checks`: what `lab forecast`,
  `lab list` and `lab doctor` say.
* `page`: how it is printed: under 100 columns, in colour only on a terminal, and never with a byte that a program sent.
* `escape`: how such a byte is spelled, there and wherever the command line quotes a text.

rich costs 20 ms to import. `live` imports it only if there is a terminal to draw on; the other modules are imported
when they are needed.
"""
