"""A chunk of packets is taken apart as one frame is: the two dissections agree on every frame, whole or cut."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.pcap.connections import every_segment
from lab.tcp.frame import Frame, dissect
from tests.captures import recorded
from tests.captures.recorded import LINKS, pcap, relinked

SAMPLE = [path for path in recorded.ALL if recorded.name(path) in ("mixed", "eight-freezes-ipv6", "iperf3")]


def scalar(frames: list[recorded.Frame]) -> list[object]:
    numbered = (Frame(n, ns, wire, data) for n, (ns, wire, data) in enumerate(frames, 1))
    return [segment for segment in map(dissect, numbered) if segment]


@pytest.mark.parametrize("path", [path for path in recorded.ALL if recorded.frames(path)[0] == 1], ids=recorded.name)
def test_every_recorded_frame_is_dissected_alike(path: Path) -> None:
    assert list(every_segment(path)) == scalar(recorded.frames(path)[1])


@pytest.mark.parametrize("link", ["vlan", "qinq", "old-qinq"])
@pytest.mark.parametrize("path", SAMPLE, ids=recorded.name)
def test_tagged_frames_are_dissected_alike(path: Path, link: str, tmp_path: Path) -> None:
    frames = relinked(recorded.frames(path)[1], LINKS[link][1])
    again = tmp_path / "again"
    again.write_bytes(pcap(frames, 1))
    assert list(every_segment(again)) == scalar(frames)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_frames_are_dissected_alike(data: st.DataObject, tmp_path: Path) -> None:
    frames = recorded.frames(data.draw(st.sampled_from(SAMPLE)))[1]
    start = data.draw(st.integers(0, len(frames) - 20))
    changed = []
    for ns, wire, frame in frames[start : start + 20]:
        raw = bytearray(frame[: data.draw(st.integers(1, len(frame)))])
        for _ in range(data.draw(st.integers(0, 3))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        changed.append((ns, wire, bytes(raw)))
    path = tmp_path / "damaged"
    path.write_bytes(pcap(changed, 1))
    assert list(every_segment(path)) == scalar(changed)
