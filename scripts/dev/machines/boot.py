"""Boots one place with one job, and passes its output on line by line. No network, and no disk is written."""

import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from machines import debian
from machines.debian import Machine
from machines.inside import speed
from machines.place import Place

MEMORY_MB = 2048
QEMU = "qemu-system-x86_64"


class UnfinishedError(Exception):
    """A place was booted, and its job came to no end."""


@dataclass(frozen=True, slots=True)
class Job:
    """What Python is to run inside."""

    arguments: tuple[str, ...]
    tree: Path
    """The clone that is played."""
    limit_s: float
    file: Path | None = None
    """A file to be copied in, beside the clone."""


def jobs(place: Place, tree: Path, limit_s: float) -> Job:
    outside_ms = speed.loop_ms(time.process_time)
    return Job(("-m", "machines.inside", f"speed:{outside_ms:.1f}", *place.jobs), tree, limit_s)


def file(path: Path, tree: Path, limit_s: float, arguments: Sequence[str] = ()) -> Job:
    return Job((f"/lab/job/{path.name}", *arguments), tree, limit_s, path)


def boot(place: Place, job: Job, hear: Callable[[str], None]) -> int:
    """The job's exit code. `hear` is called with each line that it prints."""
    machine = debian.machine(place.kernel)
    with ExitStack() as stack:
        disks = [machine.root, machine.modules, stack.enter_context(debian.project(job.tree, job.file))]
        if place.docker:
            disks.append(stack.enter_context(debian.docker_images(job.tree)))
        console = stack.enter_context(tempfile.NamedTemporaryFile(prefix="places-console-"))
        qemu = stack.enter_context(_started(_qemu(place, machine, disks, job.arguments, console.name)))
        clock = threading.Timer(job.limit_s, qemu.kill)
        stack.callback(clock.cancel)
        clock.start()
        code = _heard(qemu, hear)
        if code is None:
            last = " ".join(Path(console.name).read_text(errors="replace")[-600:].split())
            raise UnfinishedError(f"no end within {job.limit_s:.0f} s, or a panic; the console ends with: {last}")
        return code


_running: "set[subprocess.Popen[bytes]]" = set()
_interrupted = threading.Event()


@contextmanager
def _started(argv: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as qemu:
        _running.add(qemu)
        try:
            if _interrupted.is_set():
                raise UnfinishedError("interrupted")
            yield qemu
        finally:
            _running.discard(qemu)
            qemu.kill()


def end_all() -> None:
    """Whatever is booted, or would be, ends at once, and whoever waits for it goes on."""
    _interrupted.set()
    for qemu in tuple(_running):
        qemu.kill()


def _heard(qemu: "subprocess.Popen[bytes]", hear: Callable[[str], None]) -> int | None:
    assert qemu.stdout
    for raw in qemu.stdout:
        line = raw.decode(errors="replace").rstrip("\r\n")
        if re.fullmatch(r"exit -?\d+", line):
            return int(line.split()[1])
        hear(line)
    return None


def _qemu(place: Place, machine: Machine, disks: list[Path], arguments: tuple[str, ...], console: str) -> list[str]:
    threads = "multi" if place.kernel.threads else "single"
    # However this process ends, the machine does not outlive it.
    argv = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        QEMU,
        "-accel",
        f"tcg,thread={threads}",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        str(MEMORY_MB),
    ]
    argv += ["-nodefaults", "-display", "none", "-no-reboot"]
    # What follows the two dashes is process 1's. Tests of ciphers take seconds, and once did not end (6.1).
    append = f"console=ttyS0 quiet panic=-1 net.ifnames=0 cryptomgr.notests -- {' '.join(arguments)}"
    argv += ["-kernel", str(machine.kernel), "-initrd", str(machine.initrd), "-append", append]
    argv += ["-serial", f"file:{console}", "-serial", "stdio"]
    for disk in disks:
        argv += ["-drive", f"file={disk},if=virtio,format=raw,snapshot=on"]
    return argv
