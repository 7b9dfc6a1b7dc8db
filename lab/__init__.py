"""The zero-window lab: a scenario is played on a testbed, everything observable is written down as evidence,
and a pure function reads the evidence and returns a verdict.

* `spec`: what is intended. `evidence`: what was observed. `errors`: whose fault it is.
* `tcp`: a TCP connection seen from outside. `proof`: from evidence to verdict. `forecast`: where the freeze must come.
* `scenario`, `remedy`: one file each; what is played, and what cures it.
* `kernel`: every word spoken with Linux. `pcap`: capture files. `store`: a run on disk. `report`: text for people.
* `testbed`: where a spec is played. `endpoint`: the two programs, which import nothing else of this package.
* `experiment`: plays one spec on one testbed. `sweep`: a grid of specs, one row each.
* `watching`: judges connections of other programs, which already run. `cli`: the only door.
* `doctor`: what works here and why not.
"""
