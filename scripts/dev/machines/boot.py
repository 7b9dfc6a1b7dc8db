"""Boots one place with one job, and passes its output on line by line. No network, and no disk is written."""

import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from machines import debian
from machines.debian import Machine, PlaceError
from machines.place import Kernel

MEMORY_MB = 2048


def boot(kernel: Kernel, job: Path, hear: Callable[[str], None], limit_s: float) -> int:
    """The job's exit code. `hear` is called with each line that it prints."""
    if shutil.which("qemu-system-x86_64") is None:
        raise PlaceError("QEMU is missing: apt-get install qemu-system-x86, or scripts/dev/places --install")
    machine = debian.machine(kernel)
    with debian.project(job) as image, tempfile.NamedTemporaryFile(prefix="places-console-") as console:
        argv = _qemu(machine, image, Path(console.name), threads=kernel.threads)
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as qemu:
            clock = threading.Timer(limit_s, qemu.kill)
            clock.start()
            try:
                code = _heard(qemu, hear)
            finally:
                clock.cancel()
                qemu.kill()
        if code is None:
            last = Path(console.name).read_text(errors="replace")[-1500:]
            raise PlaceError(f"{kernel.name} did not finish within {limit_s:.0f} s; its console ends with:\n{last}")
        return code


def _heard(qemu: "subprocess.Popen[bytes]", hear: Callable[[str], None]) -> int | None:
    assert qemu.stdout
    for raw in qemu.stdout:
        line = raw.decode(errors="replace").rstrip("\r\n")
        if re.fullmatch(r"exit -?\d+", line):
            return int(line.split()[1])
        hear(line)
    return None


def _qemu(machine: Machine, project: Path, console: Path, *, threads: bool) -> list[str]:
    argv = ["qemu-system-x86_64", "-accel", f"tcg,thread={'multi' if threads else 'single'}", "-cpu", "max"]
    argv += ["-smp", "2", "-m", str(MEMORY_MB), "-nodefaults", "-display", "none", "-no-reboot"]
    argv += ["-kernel", str(machine.kernel), "-initrd", str(machine.initrd)]
    argv += ["-append", "console=ttyS0 quiet panic=-1 net.ifnames=0"]
    argv += ["-serial", f"file:{console}", "-serial", "stdio"]
    for image in (machine.root, machine.modules, project):
        argv += ["-drive", f"file={image},if=virtio,format=raw,snapshot=on"]
    return argv
