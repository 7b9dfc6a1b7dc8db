"""Everything that a person reads: values in, text for a terminal out. Nothing is decided here.

* `text`: one run. Its parts: `conclusion`, the first line; `picture`, the four buffers; `witnesses`, the three
  witnesses; `side`, one end of the connection; `forecast`, the forecast beside what was measured.
* `live`: a run while it plays.
* `judged`, `watched`: many verdicts, of `lab judge` and of `lab watch`. `knots`: those of one knot together.
* `remedies`, `limits`, `catalogue`, `checks`, `forecast`: `lab remedies`, `lab limits`, `lab list`, `lab doctor` and
  `lab forecast`.
* `swept`, `cliff`: the result of a sweep; its picture.
* `progress`: a bar for all that takes more than a second.
* `reasons`: every reason in words. `contract`: a verdict as the JSON contract has it.
* `page`: how all of it is printed: under 100 columns, in colour only on a terminal, control characters escaped.
* `escape`: how they are escaped, here and wherever else text of other programs is quoted.

rich takes 20 ms to import, so `live` and `progress` import it only if there is a terminal to draw on, and the commands
import the other modules when they need them.
"""
