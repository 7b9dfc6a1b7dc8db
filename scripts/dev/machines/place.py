"""The places: a Debian release's kernel, and what is played in it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel as one of Debian's suites packs it."""

    name: str
    suite: str
    threads: bool = True
    """Whether QEMU may run the two processors in threads of their own."""
    lacks: frozenset[str] = frozenset()
    """Cases of the corpus whose programs need a newer kernel."""


@dataclass(frozen=True, slots=True)
class Place:
    name: str
    kernel: Kernel
    jobs: tuple[str, ...]
    """Modules of machines.inside, with arguments after colons."""
    docker: bool = False
    """Whether it needs the lab's images, and the memory for an engine."""


# SO_BUF_LOCK is Linux 5.15's, IORING_TIMEOUT_ETIME_SUCCESS 5.16's.
V5_10 = Kernel("5.10", "bullseye", lacks=frozenset({"sndbuf-unlocked", "ring-without-descriptor"}))
V6_1, V6_12 = Kernel("6.1", "bookworm"), Kernel("6.12", "trixie")
# Two threads now and then end in a panic of Linux 7.2 at boot (int3 in sched_clock_cpu).
V7 = Kernel("7", "sid", threads=False)

CORPUS = (
    *("upper-squeezed", "upper-default", "echo-squeezed", "server-mapped", "asyncio-both", "epoll-out"),
    *("proxy-by-threads", "late-readers-both", "so-sndtimeo", "alarm-with-handler", "reader-thread-event-later"),
    *("server-computes", "registered-in-a-ring", "ring-without-descriptor", "io-uring-send", "descriptor-in-flight"),
    *("seccomp-supervised", "rcvbuf-raised", "sndbuf-unlocked", "window-clamp-lowered", "cgroup-frozen"),
    "stopped-after-the-seal",
)
"""One case of each kind, and what a kernel's version decides: facts of io_uring, wchan, buffers and freezers."""
SHORT = ("runs:short",)
"""For CI: three scenarios."""


def _everything(kernel: Kernel) -> tuple[str, ...]:
    corpus = ":".join(("corpus", *(case for case in CORPUS if case not in kernel.lacks)))
    return "runs", "suspended", "stalls", corpus, "commands"


PLACES = (
    *(Place(kernel.name, kernel, _everything(kernel)) for kernel in (V5_10, V6_1, V6_12, V7)),
    Place("6.1-server", V6_1, ("server",)),
    Place("6.12-docker", V6_12, ("docker",), docker=True),
)
