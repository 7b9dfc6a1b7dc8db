"""Models of two TCP stacks beside the table of premises: `spin` walks every state that a small pair can come to.

* `stack.pml`: two ends and what is on its way between them: windows and right edges, probes and their answers, small
  segments, packets without memory, segments that are lost, late or doubled. Each condition names its kernel function.
* `closed_window.pml`: one direction, a program that reads, sizes its buffer and stops, and the judge, who reads the two
  sockets one after the other: lab/proof/stack/closed_window.py, history.py and in_flight.py.
* `small_segment.pml`: a window that takes one small segment more: silly_window.py.
* `ack_starvation.pml`: no acknowledgment of its peer reaches a sender: ack_starvation.starved_writer().
* `test_models.py`: the rules are never wrong there, and each of them is, once one of its conditions is left out.

`packages.txt` is what scripts/setup --tests installs for them. A unit of a model is half a
segment, or a third; buffers hold a few.
"""
