"""The capture keeps what the proof needs, drops the rest in the kernel, loses nothing, and says so when it does."""

import math
import random
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from lab import errors
from lab.evidence import CaptureCount
from lab.kernel.capture import ring
from lab.kernel.capture.ring import FRAMES_AT_ONCE, RING_SIZE, Capture
from lab.kernel.place import link
from lab.kernel.place.netns import Namespace, program_in
from lab.spec import CaptureMode, Pair
from lab.tcp.frame import Frame, dissect
from lab.tcp.segment import ControlBits as Bits
from lab.tcp.segment import Segment
from tests.kernel.hosts import ADDRESSES, PORT, connected
from tests.waiting import LIMIT_S, until

ETH_P_ALL = 3
LONG_S = 3600.0
OTHER = 40000


@contextmanager
def capturing(
    host: Namespace, mode: CaptureMode = CaptureMode.PROOF, snaplen: int = 128, interface: str = link.INTERFACE
) -> Iterator[Capture]:
    with closing(Capture(host, interface, mode, PORT, snaplen)) as capture:
        yield capture


def tcp(
    seq: int,
    bits: int,
    *,
    wnd: int = 512,
    payload: bytes = b"",
    options: bytes = b"",
    sport: int = PORT,
    dport: int = OTHER,
) -> bytes:
    header = struct.pack("!HHIIBBHHH", sport, dport, seq, 1, (20 + len(options)) // 4 << 4, bits, wnd, 0, 0)
    return header + options + payload


def over(ip: int, segment: bytes, *, protocol: int = 6, ip_options: bytes = b"", fragment: int = 0) -> bytes:
    """An Ethernet frame to nobody: the stacks ignore it, the capture sees it."""
    if ip == 4:
        size = 20 + len(ip_options)
        packet = struct.pack("!BBHHHBBH4s4s", 0x40 | size // 4, 0, size + len(segment), 0, fragment, 64, protocol, 0, *(
            socket.inet_pton(socket.AF_INET, each) for each in ("203.0.113.1", "203.0.113.2")
        )) + ip_options + segment  # fmt: skip
    else:
        packet = struct.pack("!IHBB16s16s", 6 << 28, len(segment), protocol, 64, *(
            socket.inet_pton(socket.AF_INET6, each) for each in ("2001:db8::1", "2001:db8::2")
        )) + segment  # fmt: skip
    return (b"\x02\0\0\0\0\x99\x02\0\0\0\0\x98" + struct.pack("!H", 0x0800 if ip == 4 else 0x86DD) + packet).ljust(
        60, b"\0"
    )


def settled(capture: Capture, limit_s: float = LIMIT_S) -> list[Frame]:
    return [frame for frames in capture.settle(limit_s) for frame in frames]


def put(host: Namespace, frames: list[bytes]) -> None:
    """Onto the cable."""
    with host.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0) as cable:
        cable.bind((link.INTERFACE, 0))
        for frame in frames:
            cable.send(frame)


def segments(frames: list[Frame]) -> list[Segment]:
    return [segment for segment in map(dissect, frames) if segment]


KEPT = {
    "SYN": tcp(1, Bits.SYN),
    "SYN with options": tcp(1, Bits.SYN, options=bytes(40)),
    "SYN with data": tcp(1, Bits.SYN, payload=b"fast open"),
    "SYN ACK": tcp(1, Bits.SYN | Bits.ACK),
    "FIN with data": tcp(1, Bits.FIN | Bits.ACK, payload=b"last"),
    "RST": tcp(1, Bits.RST),
    "RST with a reason": tcp(1, Bits.RST | Bits.ACK, payload=b"why"),
    "zero window with data": tcp(1, Bits.ACK, wnd=0, payload=bytes(1000)),
    "zero window": tcp(1, Bits.ACK, wnd=0),
    "pure ACK": tcp(1, Bits.ACK),
    "pure ACK with options": tcp(1, Bits.ACK, options=bytes(12)),
    "pure ACK to the port": tcp(1, Bits.ACK, sport=OTHER, dport=PORT),
}
DROPPED = {
    "one byte": tcp(1, Bits.ACK, payload=b"x"),
    "one byte behind options": tcp(1, Bits.ACK | Bits.PSH, payload=b"x", options=bytes(12)),
    "data to the port": tcp(1, Bits.ACK, payload=bytes(1000), sport=OTHER, dport=PORT),
    "window 256": tcp(1, Bits.ACK, wnd=256, payload=b"x"),
}
FOREIGN = {
    "SYN of another port": tcp(1, Bits.SYN, sport=OTHER, dport=OTHER),
    "zero window of another port": tcp(1, Bits.ACK, wnd=0, sport=OTHER, dport=OTHER + 1),
    "its bytes swapped": tcp(1, Bits.SYN, sport=socket.htons(PORT), dport=OTHER),
}


def passing(host: Pair[Namespace], frames: list[bytes], mode: CaptureMode) -> list[Segment]:
    with capturing(host.client, mode) as capture:
        put(host.server, frames)
        return segments(settled(capture))


@pytest.mark.parametrize("ip", [4, 6])
@pytest.mark.parametrize("name", KEPT)
def test_the_proof_keeps(hosts: Pair[Namespace], name: str, ip: int) -> None:
    assert len(passing(hosts, [over(ip, KEPT[name])], CaptureMode.PROOF)) == 1


@pytest.mark.parametrize("ip", [4, 6])
def test_the_proof_drops_data_behind_an_open_window(hosts: Pair[Namespace], ip: int) -> None:
    """One frame among them is kept, which shows that the capture sees anything at all."""
    frames = [over(ip, segment) for segment in (*DROPPED.values(), KEPT["pure ACK"], *FOREIGN.values())]
    assert len(passing(hosts, frames, CaptureMode.PROOF)) == 1


@pytest.mark.parametrize("ip", [4, 6])
def test_a_full_capture_keeps_all_of_its_port_and_nothing_else(hosts: Pair[Namespace], ip: int) -> None:
    frames = [over(ip, segment) for segment in (KEPT | DROPPED | FOREIGN).values()]
    assert len(passing(hosts, frames, CaptureMode.FULL)) == len(KEPT | DROPPED)


@pytest.mark.parametrize("mode", CaptureMode)
def test_what_is_no_tcp_segment_is_nobodys(hosts: Pair[Namespace], mode: CaptureMode) -> None:
    syn, ack = KEPT["SYN"], KEPT["pure ACK"]
    frames = [
        over(4, syn, protocol=17),
        over(6, syn, protocol=17),
        over(4, syn, fragment=185),
        over(4, syn)[:12] + b"\x08\x06" + over(4, syn)[14:],
        over(4, ack, ip_options=bytes(8)),
    ]
    (kept,) = passing(hosts, frames, mode)
    assert kept.length == 0, "the one behind IP options"


def test_the_filter_and_the_dissector_are_of_one_opinion_on_random_frames(hosts: Pair[Namespace]) -> None:
    """Two independent readings of the same 4000 frames, told apart by their sequence numbers."""
    draw = random.Random(20)
    frames = []
    for seq in range(4000):
        ip = draw.choice((4, 6))
        segment = tcp(
            seq,
            draw.choice((Bits.ACK, Bits.ACK, Bits.ACK | Bits.PSH, draw.randrange(256))),
            wnd=draw.choice((0, 1, 256, 512, 65535)),
            payload=bytes(draw.choice((0, 0, 1, 3, 6, 7, 100))),
            options=bytes(4 * draw.randrange(11)),
            sport=draw.choice((PORT, OTHER)),
            dport=draw.choice((PORT, OTHER)),
        )
        options = bytes(4 * draw.choice((0, 0, 1, 10))) if ip == 4 else b""
        frames.append(over(ip, segment, ip_options=options))
    wanted = []
    for number, data in enumerate(frames):
        seen = dissect(Frame(number, 0, len(data), data))
        assert seen is not None
        ours = any(address.endswith(f":{PORT}") for address in (seen.source, seen.destination))
        if ours and (seen.bits & (Bits.SYN | Bits.FIN | Bits.RST) or seen.wnd == 0 or seen.length == 0):
            wanted.append(number)
    assert 500 < len(wanted) < 3500
    assert [segment.seq for segment in passing(hosts, frames, CaptureMode.PROOF)] == wanted


def test_a_frame_is_cut_at_the_snaplen_and_its_length_is_told(hosts: Pair[Namespace]) -> None:
    data = over(4, tcp(1, Bits.ACK, wnd=0, payload=bytes(range(250)) * 4))
    with capturing(hosts.client, snaplen=100) as capture:
        put(hosts.server, [data])
        (frame,) = settled(capture)
    assert frame.data == data[:100]
    assert frame.wire_length == len(data)
    assert frame.number == 1


def test_stamps_are_nanoseconds_of_the_real_clock_and_never_go_back(hosts: Pair[Namespace]) -> None:
    with capturing(hosts.client) as capture:
        before = time.time_ns()
        put(hosts.server, [over(4, tcp(seq, Bits.ACK)) for seq in range(2000)])
        after = time.time_ns()
        frames = settled(capture)
    stamps = [frame.time_ns for frame in frames]
    assert len(stamps) == 2000
    assert before <= stamps[0] <= stamps[-1] <= after
    assert stamps == sorted(stamps)
    assert any(stamp % 1000 for stamp in stamps), "microseconds only"
    assert [frame.number for frame in frames] == list(range(1, 2001))


def test_settle_gives_at_once_what_the_kernel_still_holds_back(hosts: Pair[Namespace]) -> None:
    """The kernel hands over a block that is not full only after some milliseconds."""
    with capturing(hosts.client) as capture:
        put(hosts.server, [over(4, KEPT["SYN"])] * 3)
        assert len(settled(capture, limit_s=math.inf)) == 3, "by their number, not by a time"
        assert settled(capture) == []


def await_first(hosts: Pair[Namespace], capture: Capture) -> None:
    """A patient reader takes it at once."""
    put(hosts.server, [over(4, KEPT["SYN"])])
    until(lambda: capture.drain(patient=True))


def test_a_patient_reader_lets_frames_lie_but_not_for_long(
    hosts: Pair[Namespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    with capturing(hosts.client) as capture:
        await_first(hosts, capture)
        monkeypatch.setattr(ring, "PATIENCE_S", LONG_S)
        put(hosts.server, [over(4, KEPT["SYN"])] * 3)
        assert select.select([capture._socket], [], [], LIMIT_S)[0], "the kernel hands them over"
        assert capture.drain(patient=True) == []
        monkeypatch.setattr(ring, "PATIENCE_S", 0.0)
        frames: list[Frame] = []

        def all_three() -> bool:
            frames.extend(capture.drain(patient=True))
            return len(frames) == 3

        until(all_three)


def test_a_patient_reader_does_not_wait_until_the_ring_is_full(
    hosts: Pair[Namespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 40_000
    monkeypatch.setattr(ring, "PATIENCE_S", LONG_S)
    with capturing(hosts.client) as capture:
        await_first(hosts, capture)
        put(hosts.server, [over(4, KEPT["SYN"])] * sent)
        taken = len(capture.drain(patient=True))
        assert taken >= FRAMES_AT_ONCE
        assert taken + len(settled(capture)) == sent


def test_both_directions_are_seen_each_frame_once(hosts: Pair[Namespace]) -> None:
    with capturing(hosts.client) as capture:
        with connected(hosts) as (client, server):
            client.shutdown(socket.SHUT_WR)
            assert server.recv(1) == b""
        seen = segments(settled(capture))
    assert [(each.bits & ~Bits.PSH) for each in seen][:3] == [Bits.SYN, Bits.SYN | Bits.ACK, Bits.ACK]
    assert len({(each.source, each.seq, each.ack, each.bits) for each in seen}) == len(seen)


def test_on_loopback_each_frame_is_seen_once() -> None:
    with Namespace.create() as host:
        host.call(subprocess.run, ["ip", "link", "set", "lo", "up"], check=True, timeout=LIMIT_S)
        with capturing(host, CaptureMode.FULL, interface="lo") as capture:
            listener = host.call(socket.create_server, ("127.0.0.1", PORT))
            with listener, host.call(socket.create_connection, ("127.0.0.1", PORT), LIMIT_S) as client:
                server, _ = listener.accept()
                with server:
                    client.sendall(bytes(1000))
                    assert len(server.recv(2000)) == 1000
            seen = segments(settled(capture))
    assert [each.bits for each in seen][:3] == [Bits.SYN, Bits.SYN | Bits.ACK, Bits.ACK]
    assert [each.length for each in seen if each.length] == [1000]


def test_an_interface_that_is_not_there_is_said_to_lack(hosts: Pair[Namespace]) -> None:
    with pytest.raises(errors.EnvironmentLacksError, match="cannot capture on eth7"):
        Capture(hosts.client, "eth7", CaptureMode.PROOF, PORT, 128)


def test_a_reader_that_sleeps_loses_frames_and_every_one_of_them_is_counted(hosts: Pair[Namespace]) -> None:
    """The ring has room for 16 MiB: 40 000 frames cut at 1000 bytes are 38."""
    sent, snaplen = 40_000, 1000
    frame = over(4, tcp(1, Bits.ACK, payload=bytes(1400)))
    assert sent * snaplen > 2 * RING_SIZE
    with capturing(hosts.client, CaptureMode.FULL, snaplen) as capture:
        put(hosts.server, [frame] * sent)
        taken = len(settled(capture))
        count = capture.count()
        assert count.dropped
        assert (count.frames, count.frames + count.dropped) == (taken, sent)
        put(hosts.server, [frame] * 10)
        assert len(settled(capture)) == 10, "it goes on"
        assert capture.count() == CaptureCount(link.INTERFACE, taken + 10, count.dropped)


RECEIVE = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as listener:
    print(flush=True)
    connection, _ = listener.accept()
    total = 0
    while got := connection.recv(1 << 20, socket.MSG_TRUNC):
        total += len(got)
    print(total, flush=True)
"""
SEND = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    block = bytes(1 << 20)
    for _ in range(1024):
        connection.sendall(block)
"""


def test_a_blast_of_a_gibibyte_loses_no_frame(hosts: Pair[Namespace]) -> None:
    def program(host: Namespace, script: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-S", "-c", script, ADDRESSES[4].server, str(PORT)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=program_in(host))  # noqa: PLW1509

    with capturing(hosts.client) as capture, program(hosts.server, RECEIVE) as receiver:
        assert receiver.stdout is not None
        receiver.stdout.readline()
        frames: list[Frame] = []
        with program(hosts.client, SEND) as sender:

            def has_sent_it_all() -> bool:
                frames.extend(capture.drain())
                return sender.poll() is not None

            until(has_sent_it_all, 3 * LIMIT_S, pause_s=0.004)
        assert int(receiver.stdout.readline()) == 1 << 30
        frames += settled(capture)
        count = capture.count()
    assert (count.dropped, count.frames) == (0, len(frames))
    assert len(frames) > 1000
    # Each side's; on a busy machine one may be sent again.
    assert len({segment.source for segment in segments(frames) if segment.bits & Bits.FIN}) == 2


def test_an_interface_of_the_same_name_is_found_in_the_next_namespace(hosts: Pair[Namespace]) -> None:
    """scapy remembers the index that it had in the namespace before."""
    with capturing(hosts.client), Namespace.create() as other, Namespace.create() as peer:
        peer.call(_make_link, "first")
        link.join(other, peer, None)
        for host in (other, peer):
            link.bring_up(host, ())
        assert peer.call(socket.if_nametoindex, link.INTERFACE) != hosts.client.call(
            socket.if_nametoindex, link.INTERFACE
        )
        with capturing(peer) as capture, closing(peer.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW)) as raw:
            raw.bind((link.INTERFACE, 0))
            raw.send(over(4, tcp(1, Bits.SYN)))
            assert len(settled(capture)) == 1


def _make_link(name: str) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as ip:
        ip.link("add", ifname=name, kind="veth")
