"""Capture files: written as a run plays, and read and judged by the column, at millions of packets a second.

What a segment means is for `lab.tcp` to say, and what a connection came to for `lab.wire`.

* `pcapng`: writes frames as they come, with comments. `annotate`: a copy of any capture, with comments.
* `source`: the bytes of a file, compressed or not, or of standard input.
* `layouts`: how records follow each other in pcap and in pcapng. `walk`: finds the start of each, many at a time.
* `chunk`: packets as columns. `records`: from starts of records to those. `bulk`: a whole file, chunk by chunk.
* `columns`: from packets to TCP segments. `flows`: the table of connections.
* `connections`: judges every connection of a file. The way in, with `every_segment`.
"""
