"""Tells by its counters what cannot have happened in a network namespace: a new TCP connection, or any segment at all.

The kernel counts the connections that it opened, of itself and for others (RFC 4022, tcpActiveOpens and
tcpPassiveOpens), and shows it in /proc/net/snmp. A dump of sockets walks the hash table of the whole machine: 0.2 ms
for an empty one with 262,144 buckets, twice, and for each namespace. It counts segments there as well, and all else
that IP, ICMP and UDP do: what is the same to the byte has moved nothing.
"""

import os

from lab.kernel.place.netns import Namespace

OPENED = (b"ActiveOpens", b"PassiveOpens")


class Counters:
    """The counters of one namespace, over one descriptor that stays in it. Close it."""

    def __init__(self, namespace: Namespace) -> None:
        self._seen = b""
        self._file = namespace.call(os.open, "/proc/thread-self/net/snmp", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._file)

    def opened(self) -> int:
        """Connections opened so far, those that have ended too: 15 us."""
        names, values = (line.split() for line in os.pread(self._file, 8192, 0).splitlines() if line[:4] == b"Tcp:")
        return sum(int(values[names.index(each)]) for each in OPENED)

    def is_silent(self) -> bool:
        """Whether no packet has come or gone since this was asked last: 15 us, and 50 with cold caches."""
        before, self._seen = self._seen, os.pread(self._file, 8192, 0)
        return self._seen == before
