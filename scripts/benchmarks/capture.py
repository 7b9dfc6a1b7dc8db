"""What a capture loses and what it costs the traffic: ours, scapy's AsyncSniffer and tcpdump, beside nothing attached.

One blast for all, in the same run and in turns: a client that writes as fast as it can, and a server that reads and
drops. Then healthy echoes as `lab run` plays them, observers and all.
"""

import json
import os
import re
import resource
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import store
from lab.kernel.capture.ring import SOL_PACKET, Capture
from lab.kernel.place import host_settings, link, machine, sysctl
from lab.kernel.place.netns import Namespace, program_in
from lab.pcap import pcapng
from lab.spec import CaptureMode, Pair, Role
from lab.tcp.frame import Frame, dissect
from lab.wire.comments import frame_comments
from lab.wire.witness import WireWitness

ROOT = Path(__file__).resolve().parent.parent.parent
ADDRESSES = Pair("198.18.110.20", "198.18.110.10")
PORT, SNAPLEN = 1060, 128
TICK_MS = 1
PACKET_STATISTICS = 6
SETTLE_S = 1.2
"""What the others are given to take what still lies in their buffers."""

SERVER = """
import socket, sys, time
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as listener:
    print(flush=True)
    connection, _ = listener.accept()
    began, total = time.monotonic(), 0
    while got := connection.recv(1 << 20, socket.MSG_TRUNC):
        total += len(got)
    print(total / (time.monotonic() - began), flush=True)
"""
"""With MSG_TRUNC recv() drops the bytes without copying them (tcp(7))."""
CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    block = bytes(1 << 20)
    for _ in range(int(sys.argv[3])):
        connection.sendall(block)
"""


@dataclass(frozen=True)
class Counts:
    """`kernel`: frames that the kernel offered to the capture, by its own counter, the dropped ones included."""

    kernel: int = 0
    dropped: int = 0
    kept: int = 0
    cpu_s: float = 0.0
    grown: int = 0
    """Bytes by which the capturing process has grown at its most."""


Finish = Callable[[], Counts]
Candidate = Callable[[Namespace, Path], AbstractContextManager[Finish]]


def main(arguments: list[str]) -> int:
    """`scripts/bench capture [GIBIBYTES [ROUNDS [RMEM_MAX]]]`: 1 GiB, 5 rounds, the medians; 1 if ours lost a frame.

    Root. With RMEM_MAX, such as the stock 212992, net.core.rmem_max of this host has that value meanwhile.
    """
    mebibytes = int(1024 * float(arguments[0])) if arguments else 1024
    rounds = int(arguments[1]) if len(arguments) > 1 else 5
    settings = {"rmem_max": int(arguments[2])} if len(arguments) > 2 else {}
    with host_settings.applied(settings, say=print):
        print(f"net.core.rmem_max = {sysctl.read_core()['rmem_max']}")
        return _all(mebibytes, rounds)


def _all(mebibytes: int, rounds: int) -> int:
    candidates: dict[str, Candidate] = {
        "nothing attached": _nothing,
        "lab, proof": lambda hosts, folder: _forked(lambda *pipes: _ours(CaptureMode.PROOF, hosts, folder, *pipes)),
        "lab, full": lambda hosts, folder: _forked(lambda *pipes: _ours(CaptureMode.FULL, hosts, folder, *pipes)),
        "scapy AsyncSniffer": lambda hosts, _: _forked(lambda *pipes: _async_sniffer(hosts, *pipes)),
        "tcpdump -s 96": _tcpdump,
    }
    found: dict[str, list[tuple[float, Counts]]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            found[name].append(_blasted(candidate, mebibytes))
    print(f"a blast of {mebibytes:,} MiB, {rounds} rounds in turns, medians; lost and kernel: the sums of all rounds")
    print(f"{'':20}{'MB/s':>8}{'x anchor':>10}{'kernel':>11}{'lost':>10}{'lost %':>8}{'CPU s':>8}{'grown MiB':>11}")
    anchors = [rate for rate, _ in found["nothing attached"]]
    for name, runs in found.items():
        ratio = statistics.median(rate / anchor for (rate, _), anchor in zip(runs, anchors, strict=True))
        counts = [each for _, each in runs]
        kernel, lost = sum(each.kernel for each in counts), sum(each.dropped for each in counts)
        cpu, grown = (statistics.median(values) for values in zip(*((c.cpu_s, c.grown) for c in counts), strict=True))
        rate = statistics.median(rate for rate, _ in runs)
        print(
            f"{name:20}{rate / 1e6:8.0f}{ratio:10.2f}{kernel:11,}{lost:10,}{100 * lost / max(kernel, 1):8.1f}"
            f"{cpu:8.2f}{grown / (1 << 20):11.1f}"
        )
    wrong = sum(each.dropped for name in ("lab, proof", "lab, full") for _, each in found[name])
    return 1 if wrong + _echoes(rounds) else 0


def _blasted(candidate: Candidate, mebibytes: int) -> tuple[float, Counts]:
    """Bytes a second, and what the capture counted."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hosts = Pair(*(stack.enter_context(Namespace.create()) for _ in Role))
        link.lay(hosts.client, hosts.server, (f"{ADDRESSES.client}/24", f"{ADDRESSES.server}/24"))
        finish = stack.enter_context(candidate(hosts.client, folder))
        server = stack.enter_context(_program(hosts.server, SERVER))
        assert server.stdout is not None
        server.stdout.readline()
        with _program(hosts.client, CLIENT, str(mebibytes)) as client:
            client.wait(timeout=120)
        rate = float(server.stdout.readline())
        return rate, finish()


def _program(host: Namespace, script: str, *arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-S", "-c", script, ADDRESSES.server, str(PORT), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=program_in(host))  # noqa: PLW1509


@contextmanager
def _nothing(_host: Namespace, _folder: Path) -> Iterator[Finish]:
    yield Counts


@contextmanager
def _forked(capture: Callable[[int, int], Counts]) -> Iterator[Finish]:
    """In a process of its own, which says when it is ready, and ends when it is told to."""
    (told, tell), (heard, hear) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(hear, json.dumps(vars(capture(told, hear))).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(hear)
    with os.fdopen(heard) as answers:
        answers.readline()

        def finish() -> Counts:
            os.write(tell, b".")
            return Counts(**json.loads(answers.readline()))

        try:
            yield finish
        finally:
            os.close(tell)
            os.close(told)
            os.waitpid(child, 0)


def _ours(mode: CaptureMode, host: Namespace, folder: Path, told: int, hear: int) -> Counts:
    """What `lab.observer` does with frames, beside two programs that run: fold what they say, hand them to the file."""
    witness, patient = WireWitness(), machine.cores() <= len(Role)
    with (
        closing(Capture(host, link.INTERFACE, mode, PORT, SNAPLEN)) as capture,
        closing(pcapng.Writer(folder / "wire.pcapng", link.INTERFACE, SNAPLEN)) as writer,
    ):

        def take(frames: list[Frame]) -> None:
            for segment in filter(None, map(dissect, frames)):
                witness.feed(segment)
            if frames:
                writer.write(frames, frame_comments(witness.facts(), frames[0].number))

        before = _ready(hear)
        while not select.select([told], [], [], TICK_MS / 1000)[0]:
            take(capture.drain(patient=patient))
        for frames in capture.settle():
            take(frames)
        count = capture.count()
        assert writer.frames == count.frames
        assert count.dropped is not None
        return _spent(before, count.frames + count.dropped, count.dropped, writer.frames)


def _async_sniffer(host: Namespace, told: int, hear: int) -> Counts:
    host.enter()
    from scapy.arch.linux import L2ListenSocket  # noqa: PLC0415
    from scapy.config import conf  # noqa: PLC0415
    from scapy.sendrecv import AsyncSniffer  # noqa: PLC0415

    conf.ifaces.reload()
    listener = L2ListenSocket(iface=link.INTERFACE)
    sniffer = AsyncSniffer(opened_socket=listener)
    sniffer.start()
    before = _ready(hear)
    select.select([told], [], [])
    time.sleep(SETTLE_S)
    kept = sniffer.stop()
    packets, dropped = struct.unpack("=II", listener.ins.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    return _spent(before, packets, dropped, len(kept))


@contextmanager
def _tcpdump(host: Namespace, folder: Path) -> Iterator[Finish]:
    command = ["tcpdump", "-n", "-Z", "root", "-s", "96", "-i", link.INTERFACE, "-w", str(folder / "wire.pcap")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=program_in(host))  # noqa: PLW1509
    assert process.stderr is not None
    while "listening on" not in process.stderr.readline():
        pass
    before = _resident(process.pid)

    def finish() -> Counts:
        time.sleep(SETTLE_S)  # it looks at its ring once a second
        grown = _resident(process.pid, "VmHWM") - before
        process.send_signal(signal.SIGINT)
        said = process.stderr.read() if process.stderr else ""
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        kept, kernel, dropped = (
            int(number)
            for number in re.findall(r"(\d+) packets? (?:captured|received by filter|dropped by kernel)", said)
        )
        return Counts(kernel, dropped, kept, usage.ru_utime + usage.ru_stime, grown)

    try:
        yield finish
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()


def _ready(hear: int) -> tuple[float, int]:
    os.write(hear, b"ready\n")
    return _cpu_s(), _resident(os.getpid())


def _spent(before: tuple[float, int], kernel: int, dropped: int, kept: int) -> Counts:
    cpu_s, resident = before
    return Counts(kernel, dropped, kept, _cpu_s() - cpu_s, _resident(os.getpid(), "VmHWM") - resident)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident(pid: int, name: str = "VmRSS") -> int:
    """Bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) << 10


def _echoes(times: int) -> int:
    """`lab run healthy`, 64 MiB each way: what the whole lab saw and lost; how many of them went wrong."""
    wrong = 0
    print(f"\n{times} healthy echoes of 64 MiB by lab run: medians; packets and lost: the sums")
    print(f"{'':20}{'echo s':>8}{'':>10}{'packets':>11}{'lost':>10}{'':>8}{'lab s':>8}{'peak MiB':>11}")
    for mode in CaptureMode:
        runs = [_echo(mode) for _ in range(times)]
        lost = sum(verdict["wire"]["dropped"] for verdict, _, _, _ in runs)
        wrong += lost + sum(verdict["outcome"] != "completed" for verdict, _, _, _ in runs)
        echo, cpu, peak = (statistics.median(values) for values in list(zip(*runs, strict=True))[1:])
        packets = sum(verdict["wire"]["frames"] for verdict, _, _, _ in runs)
        print(f"{'lab, ' + mode:20}{echo:8.2f}{'':10}{packets:11,}{lost:10,}{'':8}{cpu:8.2f}{peak / (1 << 20):11.1f}")
    return wrong


def _echo(mode: CaptureMode) -> tuple[dict[str, Any], float, float, int]:
    """The verdict, seconds of the echo, CPU seconds of the lab and both programs, and the lab's peak in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lab", "run", "healthy", "--capture", mode, "--format", "json"]
        environment = os.environ | {"LAB_RUNS": folder, "LAB_NET": "198.18.111"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
        assert process.stdout is not None
        verdict = json.load(process.stdout)
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        evidence = store.load(Path(verdict["run"]))
    ends = [end.time_ns for end in evidence.ended if end]
    began = evidence.wire.began.time_ns if evidence.wire.began else evidence.started_ns
    return verdict, (max(ends) - began) / 1e9, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10
