"""Every mark is on exactly the frames that tshark puts it on, in every recorded capture and in every flow file.

tshark is the oracle. There is no known deviation on these captures; by design there are two elsewhere: a TCP header
split by IP fragmentation (tshark reassembles), and more than 10 000 unacknowledged segments (tshark then forgets FINs).
"""

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.pcap.connections import every_segment
from lab.tcp.connection import TcpConnection
from lab.tcp.marks import Mark
from tests.captures import recorded
from tests.tcp import flow_files

FIELDS = [str(mark.name).lower() for mark in Mark]


def ours(path: Path) -> dict[int, set[str]]:
    connections: dict[frozenset[str], TcpConnection] = {}
    marks = {}
    for segment in every_segment(path):
        ends = frozenset((segment.source, segment.destination))
        if ends not in connections or connections[ends].restarts(segment):
            connections[ends] = TcpConnection(segment.source, segment.destination)
        marks[segment.frame] = set(connections[ends].feed(segment).marks.names)
    return marks


def theirs(path: Path) -> dict[int, set[str]]:
    tshark = shutil.which("tshark")
    assert tshark, "scripts/setup --tests installs tshark"
    wanted = [option for field in FIELDS for option in ("-e", f"tcp.analysis.{field}")]
    output = subprocess.run(
        [tshark, "-n", "-r", path, "-Y", "tcp", "-T", "fields", "-E", "occurrence=f", "-e", "frame.number", *wanted],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    rows = (line.split("\t") for line in output.splitlines())
    return {int(row[0]): {field for field, value in zip(FIELDS, row[1:], strict=True) if value} for row in rows}


@pytest.fixture(scope="module")
def oracle() -> dict[Path, dict[int, set[str]]]:
    """tshark's marks of all captures: two at a time, for it takes a third of a second to start."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(recorded.ALL, pool.map(theirs, recorded.ALL), strict=True))


@pytest.mark.parametrize("path", recorded.ALL, ids=recorded.name)
def test_marks_are_those_of_tshark_frame_by_frame(path: Path, oracle: dict[Path, dict[int, set[str]]]) -> None:
    found = ours(path)
    differing = {n: (found.get(n), marks) for n, marks in oracle[path].items() if found.get(n) != marks}
    assert not differing
    assert found.keys() == oracle[path].keys()


def test_the_captures_are_enough_to_mean_something(oracle: dict[Path, dict[int, set[str]]]) -> None:
    assert len(recorded.ALL) >= 40
    assert len({recorded.program(path) for path in recorded.ALL}) >= 8
    seen = [field for marks in oracle.values() for frame in marks.values() for field in frame]
    rare = {"zero_window_probe", "zero_window_probe_ack"}  # No Linux sends them: the flow files have them.
    for field in set(FIELDS) - rare:
        assert seen.count(field) >= 3, field


@pytest.mark.parametrize("path", flow_files.ALL, ids=lambda path: str(path.stem))
def test_a_flow_has_the_marks_that_it_says_and_tshark_agrees(path: Path, tmp_path: Path) -> None:
    flow = flow_files.read(path)
    capture = tmp_path / "flow.pcap"
    capture.write_bytes(flow.pcap())
    assert ours(capture) == theirs(capture)
    assert {n: set(marks) for n, marks in ours(capture).items()} == dict(enumerate(flow.marks, 1))


def test_the_flows_show_every_mark() -> None:
    shown = {mark for path in flow_files.ALL for marks in flow_files.read(path).marks for mark in marks}
    assert shown == set(FIELDS)


def test_marks_are_named_as_wireshark_names_them() -> None:
    assert (Mark.ZERO_WINDOW | Mark.KEEP_ALIVE).names == ("zero_window", "keep_alive")
    assert all(re.fullmatch(r"[a-z_]+", field) for field in FIELDS)
