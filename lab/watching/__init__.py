"""Judges connections that already run, of anybody's programs. Reads only.

    namespaces -> connections -> evidence -> loop
    looked into   found there    gathered    judged, once or live

* `namespaces`: which network namespaces are open, which came and went; the namespaces and sockets of the targets.
* `connections`: which connections there are, which end is the client's, which fit the targets, which came or went.
* `evidence`: two samples of every socket, a consistent snapshot of those that stand, settings and kernel facts.
* `lone_ends`: of a peer on another host, what its kernel sends unasked.
* `metrics`: the verdicts of now, for Prometheus.
* `loop`: `Watch` judges all, once or again whenever something has changed.
"""

from lab.watching.loop import Watch
from lab.watching.namespaces import Containers, Targets

__all__ = ["Containers", "Targets", "Watch"]
