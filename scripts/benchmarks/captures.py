"""How fast captures are judged, beside tshark and tcptrace on the same file in the same run.

The file is made on the fly: copies of the recorded captures of the tests, as classic pcap over Ethernet, interleaved,
each copy with addresses and times of its own: many flows, a few of them frozen.
"""

import gzip
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent.parent
CAPTURES = ROOT / "tests/captures"
HEALTHY = ("curl-bulk-lossy", "curl-bulk-lossy", "iperf3-bidir-lossy", "curl-lighttpd-no-offload")
FROZEN = ("lossy-echo-freeze", "six-freezes", "socat-cat")
RARE = 250
"""One copy in this many is of a capture that freezes."""
TOGETHER = 8
"""Copies at a time whose packets are interleaved."""


def main(arguments: list[str]) -> int:
    """`scripts/bench captures [MILLIONS...]`: 1 and 10 million packets; 1 if a verdict was wrong."""
    sizes = [int(float(each) * 1e6) for each in arguments] or [1_000_000, 10_000_000]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            path = Path(folder, "bench.pcap")
            if shutil.disk_usage(folder).free < 300 * size:
                print(f"captures: {size:,} packets need {300 * size >> 20} MiB of disk in {folder}", file=sys.stderr)
                return 4
            flows, frozen, packets = write(path, size)
            print(f"\n{packets:,} packets, {path.stat().st_size >> 20} MiB, {flows:,} connections, {frozen} frozen")
            wrong += _compare(path, packets, frozen)
    return 1 if wrong else 0


def _compare(path: Path, packets: int, frozen: int) -> int:
    lab = [sys.executable, "-m", "lab", "judge", "--format", "json", str(path)]
    idle = [sys.executable, "-I", "-c", "import click, msgspec"]
    commands = {"lab judge": lab}
    if shutil.which("tcptrace"):
        commands["tcptrace -l"] = ["tcptrace", "-n", "-l", str(path)]
    if shutil.which("tshark"):
        commands["tshark"] = ["tshark", "-n", "-q", "-r", str(path), "-z", "io,stat,0,tcp.analysis.zero_window"]
    with path.open("rb") as stream:
        while stream.read(1 << 24):
            pass  # Into the page cache: a cold file measures the disk.
    _, _, base, _ = _run(idle)
    print(f"{'':14}{'CPU s':>9}{'wall s':>9}{'M packets/s':>13}{'peak MiB':>10}{'x tcptrace':>12}{'x tshark':>10}")
    figures, found = {}, -1
    for name, command in commands.items():
        rounds = [_run(command) for _ in range(1 if name == "tshark" else 3)]
        cpu, wall, peak, output = sorted(rounds, key=lambda each: each[0])[len(rounds) // 2]
        figures[name] = (cpu, wall, peak)
        if name == "lab judge":
            found = sum(each["outcome"] == "deadlock" for each in json.loads(output)["connections"])
    for name, (cpu, wall, peak) in figures.items():
        ratios = [figures[each][0] / cpu if each in figures else float("nan") for each in ("tcptrace -l", "tshark")]
        rate = packets / cpu / 1e6
        print(f"{name:14}{cpu:9.2f}{wall:9.2f}{rate:13.2f}{peak >> 10:10}{ratios[0]:12.2f}{ratios[1]:10.1f}")
    above = figures["lab judge"][2] - base >> 10
    print(f"lab judge above the interpreter with click and msgspec ({base >> 10} MiB): {above} MiB")
    print(f"deadlocks found: {found} of {frozen}")
    return int(found != frozen)


def _run(command: list[str]) -> tuple[float, float, int, bytes]:
    """CPU seconds, wall seconds, peak resident KiB, and what it printed."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, cwd=ROOT)
        _, _, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        out.seek(0)
        return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss, out.read()


def write(path: Path, wanted: int) -> tuple[int, int, int]:
    """About `wanted` packets; how many connections, how many of them are frozen, and how many packets it became."""
    bases = {name: _base(name) for name in (*HEALTHY, *FROZEN)}
    flows = frozen = packets = copy = 0
    with path.open("wb") as stream:
        stream.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        start = 1_700_000_000_000_000
        while packets < wanted:
            pieces = []
            for _ in range(TOGETHER):
                name = FROZEN[copy // RARE % len(FROZEN)] if copy % RARE == RARE - 1 else HEALTHY[copy % len(HEALTHY)]
                base = bases[name]
                pieces.append(base.copied(copy, start))
                flows, frozen = flows + base.flows, frozen + base.flows * (name in FROZEN)
                copy += 1
            times = np.concatenate([piece[0] for piece in pieces])
            records = [record for piece in pieces for record in piece[1]]
            for index in np.argsort(times, kind="stable").tolist():
                stream.write(records[index])
            packets += len(records)
            start = int(times.max()) + 1000
    return flows, frozen, packets


class _Base:
    """One recorded capture: times from 0 on in microseconds, and its frames as they are."""

    def __init__(self, times: npt.NDArray[np.int64], frames: list[bytes], wires: list[int]) -> None:
        self.times, self.frames, self.wires = times, frames, wires
        ends = {frozenset((frame[26:30] + frame[34:36], frame[30:34] + frame[36:38])) for frame in frames}
        self.flows = len(ends)

    def copied(self, number: int, start: int) -> tuple[npt.NDArray[np.int64], list[bytes]]:
        """With addresses of its own in 10.0.0.0/8, and its times from `start` on."""
        times = self.times + start
        hosts = [struct.pack(">I", 10 << 24 | number * 2 % (1 << 24) + side) for side in (0, 1)]
        first = self.frames[0][26:30]
        records = []
        for at, frame, wire in zip(times.tolist(), self.frames, self.wires, strict=True):
            one, other = hosts if frame[26:30] == first else reversed(hosts)
            changed = frame[:26] + one + other + frame[34:]
            records.append(struct.pack("<IIII", at // 1_000_000, at % 1_000_000, len(frame), wire) + changed)
        return times, records


def _base(name: str) -> _Base:
    times, frames, wires = [], [], []
    for at, frame, wire in _records(gzip.decompress((CAPTURES / f"{name}.pcap.gz").read_bytes())):
        if frame[12:14] == b"\x08\x00" and frame[23] == 6:
            times.append(at)
            frames.append(frame)
            wires.append(wire)
    return _Base(np.array(times) - times[0], frames, wires)


def _records(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    at = 24
    while at < len(data):
        seconds, fraction, captured, wire = struct.unpack_from("<4I", data, at)
        yield seconds * 1_000_000 + fraction, data[at + 16 : at + 16 + captured], wire
        at += 16 + captured
