"""Connections are numbered as a dictionary would number them, and of each what its segments add up to is kept."""

import random
from pathlib import Path

import numpy as np

from lab.pcap.bulk import Bulk
from lab.pcap.chunk import Integers
from lab.pcap.columns import segments
from lab.pcap.connections import every_segment
from lab.pcap.flows import EMPTY, Flows
from lab.pcap.source import opened
from lab.tcp.address import endpoint
from lab.tcp.segment import ACK, FIN, RST, SYN, ControlBits, Segment
from tests.captures import recorded
from tests.tcp.flow_files import Flow

CLIENT, SERVER = "10.0.0.1:40000", "10.0.0.2:80"


def made(*rows: tuple[str, str, int, int, int]) -> list[Segment]:
    """(source, destination, control bits, payload, window) of each segment, one a second."""
    return [
        Segment(n, n * 10**9, source, destination, 1, 1, wnd, length, ControlBits(bits), None)
        for n, (source, destination, bits, length, wnd) in enumerate(rows, 1)
    ]


def noted(given: list[Segment], path: Path) -> tuple[Flows, list[int]]:
    """The table after all of them, and the flow of each."""
    path.write_bytes(Flow(tuple(given), ()).pcap())
    flows, numbers = Flows(), list[int]()
    with opened(path) as source:
        for chunk in Bulk(source).chunks():
            numbers += flows.note(chunk, segments(chunk, flows.hashing)).tolist()
    return flows, numbers


def test_what_the_segments_of_a_flow_add_up_to_is_kept(tmp_path: Path) -> None:
    given = made(
        (CLIENT, SERVER, SYN, 0, 100),
        (SERVER, CLIENT, SYN | ACK, 0, 100),
        (CLIENT, SERVER, ACK, 7, 100),
        (SERVER, CLIENT, ACK | FIN, 0, 100),
        (CLIENT, SERVER, ACK, 0, 100),
    )
    flows, numbers = noted(given, tmp_path / "capture")
    assert numbers == [0] * 5
    assert set(flows.ends[0]) == {CLIENT, SERVER}
    client = flows.ends[0].index(CLIENT)
    assert (flows.packets[0], flows.first_frame[0]) == (5, 1)
    assert (flows.first_ns[0], flows.payload_ns[0], flows.last_ns[0]) == (10**9, 4 * 10**9, 5 * 10**9)
    assert flows.first_from[0] == client
    assert flows.syn_from[0] == 1 + client
    assert flows.bits[0].tolist()[client] == SYN
    assert flows.bits[0].tolist()[1 - client] == SYN | ACK | FIN
    assert not flows.exact[0]


def test_a_syn_ack_alone_tells_the_client_too(tmp_path: Path) -> None:
    flows, _ = noted(made((SERVER, CLIENT, SYN | ACK, 0, 100)), tmp_path / "capture")
    assert flows.ends[0][flows.syn_from[0] - 1] == CLIENT
    flows, _ = noted(made((SERVER, CLIENT, ACK, 0, 100)), tmp_path / "capture")
    assert flows.syn_from[0] == 0


def test_a_closed_window_makes_a_flow_one_to_follow_and_the_window_of_a_reset_does_not(tmp_path: Path) -> None:
    flows, _ = noted(made((CLIENT, SERVER, ACK, 1, 9), (SERVER, CLIENT, ACK, 0, 0)), tmp_path / "capture")
    assert flows.exact[0]
    flows, _ = noted(made((CLIENT, SERVER, ACK, 1, 9), (SERVER, CLIENT, RST, 0, 0)), tmp_path / "capture")
    assert not flows.exact[0]


def test_ports_that_are_used_again_make_a_flow_one_to_follow(tmp_path: Path) -> None:
    flows, _ = noted(made((CLIENT, SERVER, SYN, 0, 9), (CLIENT, SERVER, SYN, 0, 9)), tmp_path / "capture")
    assert flows.exact[0]


def test_ten_thousand_flows_are_told_apart_as_a_dictionary_does(tmp_path: Path) -> None:
    """More than the table starts with: it grows, and keys are placed anew."""
    dice = random.Random(7)
    hosts = [endpoint(bytes([10, dice.randrange(256), 0, n % 256]), 1024 + n) for n in range(200)]
    pairs = [dice.sample(hosts, 2) for _ in range(15_000)]
    given = made(*((one, other, ACK, 1, 9) for one, other in pairs))
    flows, numbers = noted(given, tmp_path / "capture")
    known: dict[frozenset[str], int] = {}
    for segment, number in zip(given, numbers, strict=True):
        assert known.setdefault(frozenset((segment.source, segment.destination)), len(known)) == number
    assert len(flows) == len(known) > 10_000
    assert [frozenset(ends) for ends in flows.ends] == list(known)
    assert flows.packets[: len(flows)].tolist() == np.bincount(numbers).tolist()


def test_a_second_table_does_not_know_the_flows_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(Flow(tuple(made((CLIENT, SERVER, ACK, 1, 9))), ()).pcap())
    known, other = Flows(), Flows()
    with opened(path) as source:
        (chunk,) = Bulk(source).chunks()
        known.note(chunk, segments(chunk, known.hashing))
        numbers: list[Integers] = [table.number(segments(chunk, table.hashing))[0] for table in (known, other)]
    assert [each.tolist() for each in numbers] == [[0], [EMPTY]]


def test_the_flows_of_a_recorded_capture_are_its_connections() -> None:
    for path in recorded.ALL[:6]:
        flows = Flows()
        with opened(path) as source:
            for chunk in Bulk(source).chunks():
                flows.note(chunk, segments(chunk, flows.hashing))
        assert {frozenset(ends) for ends in flows.ends} == {
            frozenset((segment.source, segment.destination)) for segment in every_segment(path)
        }
