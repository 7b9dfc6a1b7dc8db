"""What the wire says is counted as the rules of zero-window probing have it, and as tshark counts it on real freezes.

A flow is written in tcpdump's words, `>` from client to server: time in seconds, control bits, first:next(length) of
the sequence numbers, ack, window. Each is played from several initial sequence numbers, so that the numbers wrap.
"""

import ctypes
import re
import secrets
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from lab.evidence import Moment, WireFacts
from lab.pcap.connections import every_segment
from lab.pcap.pcapng import Writer
from lab.spec import Pair
from lab.tcp.connection import ProbeKind
from lab.tcp.frame import Frame, dissect
from lab.tcp.segment import ControlBits, Segment
from lab.tcp.seq import forward
from lab.wire.comments import frame_comments
from lab.wire.witness import MAX_EVENTS, WireWitness, witness

CLIENT, SERVER = "198.18.20.20:40000", "198.18.20.10:1060"
BITS = {".": ControlBits.ACK, "S": ControlBits.SYN, "F": ControlBits.FIN, "R": ControlBits.RST, "P": ControlBits.PSH}
LINE = re.compile(r"(?P<t>[\d.]+) (?P<way>[<>]) (?P<bits>\S+) (?P<seq>\d+):\d+\((?P<len>\d+)\)(?P<rest>.*)")

HANDSHAKE = """
0.000 > S 0:1(0) win 1000 wscale 2
0.001 < S. 0:1(0) ack 1 win 1000 wscale 0
0.002 > . 1:1(0) ack 1 win 250
"""
FROZEN = (
    HANDSHAKE
    + """
0.010 > P. 1:1001(1000) ack 1 win 250
0.011 < P. 1:1001(1000) ack 1001 win 0
0.012 > . 1001:1001(0) ack 1001 win 0
"""
)


def flow(text: str, isn: int = 0) -> list[Segment]:
    segments: list[Segment] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        match = LINE.fullmatch(line)
        assert match is not None, line
        rest = dict(re.findall(r"(ack|win|wscale) (\d+)", match["rest"]))
        ends = (CLIENT, SERVER) if match["way"] == ">" else (SERVER, CLIENT)
        ours, theirs = (isn, isn + 77) if match["way"] == ">" else (isn + 77, isn)
        segments.append(
            Segment(
                frame=len(segments) + 1,
                time_ns=round(float(match["t"]) * 1e9),
                source=ends[0],
                destination=ends[1],
                seq=forward(int(match["seq"]), ours),
                ack=forward(int(rest["ack"]), theirs) if "ack" in rest else 0,
                wnd=int(rest["win"]),
                length=int(match["len"]),
                bits=ControlBits(sum(BITS[letter] for letter in match["bits"])),
                scale=int(rest["wscale"]) if "wscale" in rest else None,
            )
        )
    return segments


@pytest.fixture(params=[0, 2**32 - 1, 2**32 - 900, 2**32 - 1078, 2**31 - 500], ids="isn={}".format)
def isn(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


def moment(frame: int, seconds: float) -> Moment:
    return Moment(frame, round(seconds * 1e9))


def test_a_freeze_has_both_windows_closed_and_says_since_when(isn: int) -> None:
    facts = witness(flow(FROZEN, isn))
    assert facts.ends == Pair(CLIENT, SERVER)
    assert facts.roles_seen
    assert facts.closed == Pair(True, True)
    assert facts.zero_windows == Pair(1, 1)
    assert facts.first_zero_window == Pair(moment(6, 0.012), moment(5, 0.011))
    assert facts.progress == moment(6, 0.012)
    assert facts.reopened == facts.probes == Pair(0, 0)


def test_a_probe_is_not_progress(isn: int) -> None:
    facts = witness(flow(FROZEN + "0.212 > . 1000:1000(0) ack 1001 win 0\n0.213 < . 1001:1001(0) ack 1001 win 0", isn))
    assert facts.probes == facts.probes_since_still == Pair(1, 0)
    assert facts.progress == moment(6, 0.012)
    assert facts.zero_windows == Pair(2, 2)
    assert [(event.kind, event.number, event.moment.frame) for event in facts.events] == [(ProbeKind.PROBE, 1, 7)]


def test_the_same_segment_into_an_open_window_is_a_keep_alive_and_no_probe(isn: int) -> None:
    facts = witness(flow(HANDSHAKE + "9.000 > . 0:0(0) ack 1 win 250\n9.001 < . 1:1(0) ack 1 win 1000", isn))
    assert facts.probes == Pair(0, 0)
    assert facts.progress is None
    assert facts.closed == Pair(False, False)


def test_a_retransmission_into_a_zero_window_is_a_probe(isn: int) -> None:
    """The receiver drops what it had granted and takes its edge back: RTO retransmissions, and no probe of 0 bytes."""
    retreat = """
    0.010 > P. 1:401(400) ack 1 win 250
    0.011 < . 1:1(0) ack 1 win 0
    0.220 > P. 1:401(400) ack 1 win 250
    0.221 < . 1:1(0) ack 1 win 0
    0.640 > P. 1:401(400) ack 1 win 250
    """
    facts = witness(flow(HANDSHAKE + retreat, isn))
    assert facts.probes == facts.probes_since_still == Pair(2, 0)
    assert {event.kind for event in facts.events} == {ProbeKind.RETRANSMISSION}
    assert facts.progress == moment(4, 0.010)
    assert facts.closed == Pair(False, True)


def test_one_new_byte_at_the_edge_is_a_probe_each_time_it_is_sent(isn: int) -> None:
    probe = "1001:1002(1) ack 1001 win 0"
    facts = witness(flow(FROZEN + f"0.5 > . {probe}\n0.501 < . 1001:1001(0) ack 1001 win 0\n1.5 > . {probe}", isn))
    assert facts.probes == Pair(2, 0)
    assert {event.kind for event in facts.events} == {ProbeKind.BYTE}
    assert facts.progress == moment(6, 0.012)


def test_a_probe_byte_that_is_accepted_is_progress(isn: int) -> None:
    accepted = "0.5 > . 1001:1002(1) ack 1001 win 0\n0.501 < . 1001:1001(0) ack 1002 win 0"
    facts = witness(flow(FROZEN + accepted, isn))
    assert facts.progress == moment(8, 0.501)
    assert facts.probes == Pair(1, 0)
    assert facts.probes_since_still == Pair(0, 0)


def test_a_silly_window_fragment_is_new_data_and_no_probe(isn: int) -> None:
    silly = """
    0.010 > P. 1:901(900) ack 1 win 250
    0.011 < . 1:1(0) ack 901 win 100
    0.215 > P. 901:1001(100) ack 1 win 250
    0.216 < . 1:1(0) ack 1001 win 0
    """
    facts = witness(flow(HANDSHAKE + silly, isn))
    assert facts.silly_segments == Pair(1, 0)
    assert facts.probes == Pair(0, 0)
    assert facts.progress == moment(7, 0.216)


def test_the_edge_is_counted_in_scaled_windows(isn: int) -> None:
    """The client's scale is 2 and both SYNs carry one: its window of 25 is 100 bytes."""
    silly = """
    0.010 < P. 1:901(900) ack 1 win 1000
    0.011 > . 1:1(0) ack 901 win 25
    0.215 < P. 901:1001(100) ack 1 win 1000
    """
    assert witness(flow(HANDSHAKE + silly, isn)).silly_segments == Pair(0, 1)
    assert witness(flow((HANDSHAKE + silly).replace(" wscale 0", ""), isn)).silly_segments == Pair(0, 0)


def test_a_window_that_opens_again_voids_the_suspicion(isn: int) -> None:
    probes = "0.3 > . 1000:1000(0) ack 1001 win 0\n0.301 < . 1000:1000(0) ack 1001 win 0"
    facts = witness(flow(f"{FROZEN}{probes}\n0.4 < . 1001:1001(0) ack 1001 win 500", isn))
    assert facts.probes == Pair(1, 1)
    assert facts.probes_since_still == Pair(0, 0)
    assert facts.reopened == Pair(0, 1)
    assert facts.closed == Pair(True, False)
    assert facts.progress == moment(9, 0.4)


def test_an_older_acknowledgment_says_nothing_of_the_window(isn: int) -> None:
    facts = witness(flow(FROZEN + "0.020 < . 1:1(0) ack 501 win 500", isn))
    assert facts.closed == Pair(True, True)
    assert facts.reopened == Pair(0, 0)


def test_the_window_of_a_syn_or_a_reset_is_no_zero_window(isn: int) -> None:
    text = "0.0 > S 0:1(0) win 0\n0.001 < S. 0:1(0) ack 1 win 0\n0.002 > R 1:1(0) win 0"
    facts = witness(flow(text, isn))
    assert facts.zero_windows == Pair(0, 0)
    assert facts.closed == Pair(None, None)
    assert facts.rst == Pair(moment(3, 0.002), None)


def test_a_fin_is_seen_and_is_progress(isn: int) -> None:
    facts = witness(flow(HANDSHAKE + "1.0 > F. 1:2(0) ack 1 win 250", isn))
    assert facts.fin == Pair(moment(4, 1.0), None)
    assert facts.progress == moment(4, 1.0)


def test_what_a_capture_of_zero_windows_and_bare_acks_lacks_is_noticed_at_its_acknowledgment(isn: int) -> None:
    """Mode `proof` keeps no data segment with an open window: the reading peer's acknowledgments tell of them."""
    facts = witness(flow(HANDSHAKE + "0.5 < . 1:1(0) ack 1001 win 1000\n0.6 < . 1:1(0) ack 5001 win 1000", isn))
    assert facts.progress == moment(5, 0.6)
    assert facts.probes == facts.silly_segments == Pair(0, 0)


def test_a_retransmission_whose_original_the_capture_lacks_is_no_progress(isn: int) -> None:
    """Both windows are closed, so the peer cannot have opened its own on a data segment that was not kept."""
    closed = """
    0.011 < . 1:1(0) ack 1001 win 0
    0.012 > . 1001:1001(0) ack 1001 win 0
    """
    again = "0.3 > P. 1001:1401(400) ack 1001 win 0"
    facts = witness(flow(HANDSHAKE + closed + again, isn))
    assert facts.probes == Pair(1, 0)
    assert facts.progress == moment(5, 0.012)


def test_new_data_into_a_window_that_may_have_opened_unseen_is_progress(isn: int) -> None:
    closed = "0.011 < . 1:1(0) ack 1001 win 0\n0.012 > . 1001:1001(0) ack 1 win 250\n"
    for later in ("0.3 > P. 1001:1401(400) ack 801 win 0", "0.3 > P. 1001:1401(400) ack 1 win 250"):
        facts = witness(flow(HANDSHAKE + closed + later, isn))
        assert facts.probes == Pair(0, 0)
        assert facts.progress == moment(6, 0.3)


def test_without_a_syn_the_lower_port_is_the_servers_and_zero_is_zero(isn: int) -> None:
    late = flow("5.0 < . 1000:1000(0) ack 1001 win 0\n5.001 > . 1001:1001(0) ack 1001 win 0", isn)
    late += flow("5.1 > . 1000:1000(0) ack 1001 win 0\n5.4 < . 1000:1000(0) ack 1001 win 0", isn)
    facts = witness(late)
    assert facts.ends == Pair(CLIENT, SERVER)
    assert not facts.roles_seen
    assert facts.closed == Pair(True, True)
    assert facts.probes == Pair(1, 1)
    assert facts.progress is None


def test_the_caller_may_know_the_ends() -> None:
    late = flow("5.0 < . 1000:1000(0) ack 1001 win 0")
    assert witness(late, Pair(SERVER, CLIENT)).zero_windows == Pair(1, 0)
    assert witness(late, Pair("10.0.0.1:1", "10.0.0.2:2")).segments == 0


def test_other_connections_and_a_socket_connected_to_itself_are_passed_over() -> None:
    wire = WireWitness()
    wire.feed(Segment(1, 0, CLIENT, CLIENT, 0, 0, 0, 0, ControlBits.SYN, None))
    for segment in flow(FROZEN):
        wire.feed(segment)
    wire.feed(Segment(9, 0, CLIENT, "198.18.20.10:9", 0, 0, 0, 0, ControlBits.ACK, None))
    assert wire.facts() == witness(flow(FROZEN))


def test_nothing_seen_is_no_connection() -> None:
    facts = witness([])
    assert facts.ends is None
    assert facts.closed == Pair(None, None)
    assert frame_comments(facts) == {}
    assert facts == WireFacts()


def test_the_events_kept_are_bounded_and_the_latest() -> None:
    wire = WireWitness()
    for segment in flow(FROZEN):
        wire.feed(segment)
    probe = flow(FROZEN + "0.212 > . 1000:1000(0) ack 1001 win 0")[-1]
    for _ in range(MAX_EVENTS + 44):
        wire.feed(probe)
    facts = wire.facts()
    assert facts.probes.client == MAX_EVENTS + 44
    assert [event.number for event in facts.events] == list(range(45, MAX_EVENTS + 45))


def test_the_packets_that_matter_carry_comments() -> None:
    segments = flow(FROZEN + "0.212 > . 1000:1000(0) ack 1001 win 0")
    facts = witness(segments)
    comments = frame_comments(facts)
    assert comments == {
        5: "first zero window of the server: it has no room for a byte",
        6: "first zero window of the client: it has no room for a byte",
        7: "probe 1 of the client: 0 bytes at SND.UNA-1 into a zero window; Wireshark calls this Keep-Alive",
    }
    assert frame_comments(facts, since=6) == {frame: text for frame, text in comments.items() if frame >= 6}


def test_the_comments_told_as_the_packets_come_are_those_told_at_the_end() -> None:
    segments = flow(FROZEN + "0.212 > . 1000:1000(0) ack 1001 win 0")
    wire = WireWitness()
    told: dict[int, str] = {}
    for segment in segments:
        wire.feed(segment)
        told |= frame_comments(wire.facts(), segment.frame)
    assert told == frame_comments(wire.facts())


# Real traffic: two namespaces, squeezed buffers, a raw packet socket, and tshark for a second opinion.

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
ETH_P_ALL = 3


def inside(namespace: str, work: Callable[[], T]) -> T:
    """Run `work` in a thread that has entered the namespace; the sockets that it makes stay there."""
    results: list[T] = []

    def enter() -> None:
        with Path("/run/netns", namespace).open("rb") as door:
            if ctypes.CDLL(None, use_errno=True).setns(door.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        results.append(work())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join(10)
    return results[0]


def ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True, capture_output=True, timeout=10)


def squeeze() -> None:
    for key in ("tcp_rmem", "tcp_wmem"):
        Path("/proc/sys/net/ipv4", key).write_text("4096 8192 8192")


@pytest.fixture(scope="module")
def hosts() -> Iterator[Pair[str]]:
    """Two namespaces over a veth pair, .20 for the client and .10 for the server, with buffers of 8 KiB."""
    name = f"zw-wire-{secrets.token_hex(3)}"
    pair = Pair(f"{name}-c", f"{name}-s")
    with ExitStack() as undo:
        for host in pair:
            undo.callback(ip, f"netns del {host}")
            ip(f"netns add {host}")
        ip(f"-n {pair.client} link add eth0 type veth peer name eth0 netns {pair.server}")
        for host, address in zip(pair, ("198.18.20.20", "198.18.20.10"), strict=True):
            ip(f"-n {host} address add {address}/24 dev eth0")
            ip(f"-n {host} link set eth0 up")
            inside(host, squeeze)
        yield pair


def packet_socket() -> socket.socket:
    taker = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    taker.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    taker.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    taker.bind(("eth0", ETH_P_ALL))
    return taker


@dataclass(frozen=True)
class Played:
    """What two programs left on the wire, and what the witness said live, frame by frame."""

    frames: list[Frame]
    facts: WireFacts

    @property
    def segments(self) -> list[Segment]:
        return [segment for frame in self.frames if (segment := dissect(frame))]


def play(
    hosts: Pair[str],
    server: Callable[[socket.socket], None],
    client: Callable[[socket.socket], None],
    enough: Callable[[WireFacts], bool],
) -> Played:
    """Let the two programs talk until the wire has shown enough; then end both connections, so that neither waits."""
    with ExitStack() as undo:
        taker = undo.enter_context(inside(hosts.client, packet_socket))
        listener = undo.enter_context(inside(hosts.server, lambda: socket.create_server(("198.18.20.10", 1060))))
        ours = undo.enter_context(inside(hosts.client, lambda: socket.create_connection(("198.18.20.10", 1060), 5)))
        theirs = undo.enter_context(listener.accept()[0])
        for program, end in ((server, theirs), (client, ours)):
            end.settimeout(None)
            thread = threading.Thread(target=lambda p=program, e=end: p(e))
            undo.callback(thread.join, 10)
            undo.callback(hang_up, end)
            thread.start()
        return capture(taker, enough)


def hang_up(end: socket.socket) -> None:
    with suppress(OSError):  # It may have ended by itself.
        end.shutdown(socket.SHUT_RDWR)


def capture(taker: socket.socket, enough: Callable[[WireFacts], bool]) -> Played:
    frames: list[Frame] = []
    wire = WireWitness()
    end = time.monotonic() + 10
    while not enough(facts := wire.facts()):
        taker.settimeout(max(end - time.monotonic(), 0.001))
        data, extra, _, _ = taker.recvmsg(65600, 64)
        seconds, nanoseconds = struct.unpack("qq", extra[0][2])
        frames.append(Frame(len(frames) + 1, seconds * 10**9 + nanoseconds, len(data), data[:128]))
        if segment := dissect(frames[-1]):
            wire.feed(segment)
    return Played(frames, facts)


def upper(connection: socket.socket) -> None:
    with suppress(OSError):
        while block := connection.recv(1024):
            connection.sendall(block.upper())


def upper_then_close(connection: socket.socket) -> None:
    upper(connection)
    connection.shutdown(socket.SHUT_WR)


def write_only(connection: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection.sendall(b"capitalize this!")


def write_while_reading(connection: socket.socket) -> None:
    """1 MiB up and back; a second thread reads."""

    def read() -> None:
        while connection.recv(1024):
            pass

    reader = threading.Thread(target=read)
    reader.start()
    connection.sendall(b"capitalize this!" * 65536)
    connection.shutdown(socket.SHUT_WR)
    reader.join(20)


def tshark(path: Path, display_filter: str) -> list[tuple[int, str]]:
    """The number and the sending side of each frame that passes the filter."""
    command = ["tshark", "-n", "-r", str(path), "-Y", display_filter, "-T", "fields"]
    command += ["-e", "frame.number", "-e", "tcp.srcport"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    rows = (line.split() for line in done.stdout.splitlines())
    return [(int(number), "server" if port == "1060" else "client") for number, port in rows]


def by_side(rows: list[tuple[int, str]]) -> Pair[int]:
    return Pair(*(sum(side == role for _, side in rows) for role in ("client", "server")))


@pytest.fixture(scope="module")
def frozen(hosts: Pair[str]) -> Played:
    return play(hosts, upper, write_only, lambda facts: min(facts.probes_since_still) >= 2)


def write(path: Path, frames: list[Frame], comments: dict[int, str]) -> None:
    with closing(Writer(path, "eth0", 128)) as writer:
        writer.write(frames, comments)


@pytest.fixture(scope="module")
def frozen_file(frozen: Played, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frozen") / "wire.pcapng"
    write(path, frozen.frames, frame_comments(frozen.facts))
    return path


@pytest.mark.root
def test_a_real_freeze_closes_both_windows_for_good(frozen: Played) -> None:
    facts = frozen.facts
    assert facts.roles_seen
    assert facts.ends is not None
    assert facts.ends.server == SERVER
    assert facts.closed == Pair(True, True)
    assert facts.progress is not None
    assert frozen.frames[-1].time_ns - facts.progress.time_ns > 400_000_000


@pytest.mark.root
def test_zero_windows_of_a_real_freeze_are_those_that_tshark_marks(frozen: Played, frozen_file: Path) -> None:
    marked = tshark(frozen_file, "tcp.analysis.zero_window")
    assert by_side(marked) == frozen.facts.zero_windows
    for side, first in zip(("client", "server"), frozen.facts.first_zero_window, strict=True):
        assert first is not None
        assert first.frame == min(number for number, sender in marked if sender == side)


@pytest.mark.root
def test_probes_of_a_real_freeze_are_those_that_tshark_calls_keep_alives(frozen: Played, frozen_file: Path) -> None:
    probes = [(e.moment.frame, str(e.role)) for e in frozen.facts.events if e.kind is ProbeKind.PROBE]
    sent_again = {(e.moment.frame, str(e.role)) for e in frozen.facts.events if e.kind is ProbeKind.RETRANSMISSION}
    assert probes == tshark(frozen_file, "tcp.analysis.keep_alive")
    assert sent_again <= set(tshark(frozen_file, "tcp.analysis.retransmission"))
    assert len(probes) + len(sent_again) == sum(frozen.facts.probes)


@pytest.mark.root
def test_what_was_written_and_read_again_says_the_same(frozen: Played, frozen_file: Path) -> None:
    assert witness(every_segment(frozen_file)) == frozen.facts


@pytest.mark.root
def test_tshark_shows_the_comments_of_a_real_freeze(frozen: Played, frozen_file: Path) -> None:
    commented = [number for number, _ in tshark(frozen_file, "frame.comment")]
    assert commented == sorted(frame_comments(frozen.facts))
    assert len(tshark(frozen_file, 'frame.comment contains "first zero window"')) == 2


@pytest.mark.root
def test_the_frames_that_a_kernel_filter_of_mode_proof_keeps_show_the_same_freeze(frozen: Played) -> None:
    """SYN, FIN, RST, window 0, or no payload: enough for closed windows, probes, and whether anything moved since."""
    handshake = ControlBits.SYN | ControlBits.FIN | ControlBits.RST
    kept = [s for s in frozen.segments if s.bits & handshake or s.wnd == 0 or s.length == 0]
    facts = witness(kept)
    assert len(kept) < len(frozen.segments)
    assert facts.closed == Pair(True, True)
    assert facts.zero_windows == frozen.facts.zero_windows
    assert facts.first_zero_window == frozen.facts.first_zero_window
    assert min(facts.probes_since_still) >= 1


@pytest.mark.root
def test_a_healthy_echo_closes_windows_and_opens_every_one_again(hosts: Pair[str], tmp_path: Path) -> None:
    played = play(hosts, upper_then_close, write_while_reading, lambda facts: all(facts.fin))
    path = tmp_path / "wire.pcapng"
    write(path, played.frames, {})
    facts = played.facts
    assert by_side(tshark(path, "tcp.window_size_value == 0 && tcp.flags.syn == 0 && tcp.flags.reset == 0")) == (
        facts.zero_windows
    )
    assert sum(facts.zero_windows) > 10
    assert sum(facts.reopened) > 10
    assert facts.probes_since_still == Pair(0, 0)
