"""What packets alone say of a connection. Pure. A deadlock is at most `consistent` here, never proven.

From segments to facts, in constant memory a connection:

* `witness`: counts and dates zero windows, probes and progress. The facts of every run's wire, beside its sockets and
  threads (`lab.proof`).
* `packets`: the same for a connection of a capture file, where nothing else was observed: also how the last stall went.

From facts to a verdict, for captures:

* `persist_timer`: why a side sends into a closed window: it has unsent data, or it sends keep-alives.
* `outcome`: what the connection came to. The only place here that decides an `Outcome`.
* `judge`: the verdict, with when the stall began, how it ended, and the frames that show it.
* `chains`: stalled connections that wait for each other across hosts.

`comments`: the words for a frame that matters, in reports and in Wireshark.
"""
