"""The places: a Debian release's kernel and the settings that are in force in there."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel as one of Debian's suites packs it."""

    name: str
    suite: str
    threads: bool = True
    """Whether QEMU may run the two processors in threads of their own."""


KERNELS = (
    Kernel("5.10", "bullseye"),
    Kernel("6.1", "bookworm"),
    Kernel("6.12", "trixie"),
    # Two threads now and then end in a panic of Linux 7.2 at boot (int3 in sched_clock_cpu).
    Kernel("7", "sid", threads=False),
)
