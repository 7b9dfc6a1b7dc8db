"""On real freezes the witness counts what tshark counts: two namespaces, squeezed buffers, a raw packet socket."""

import ctypes
import secrets
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from lab.evidence import WireFacts
from lab.pcap.connections import every_segment
from lab.pcap.pcapng import Writer
from lab.spec import Pair
from lab.tcp.connection import ProbeKind
from lab.tcp.frame import Frame, dissect
from lab.tcp.segment import ControlBits, Segment
from lab.wire.comments import frame_comments
from lab.wire.witness import WireWitness, witness
from tests.waiting import LIMIT_S
from tests.wire.wire_flows import SERVER

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
    thread.join(LIMIT_S)
    return results[0]


def ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True, capture_output=True, timeout=LIMIT_S)


def squeeze() -> None:
    for key in ("tcp_rmem", "tcp_wmem"):
        Path("/proc/sys/net/ipv4", key).write_text("4096 8192 8192")


TRIES, QUIET_S = 5, 10.0
"""Plays until a pair freezes; and seconds without a frame after which it is another stall."""


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
    quiet_s: float = LIMIT_S,
) -> Played:
    """Let the two programs talk until the wire has shown enough; then end both connections, so that neither waits."""
    with ExitStack() as undo:
        taker = undo.enter_context(inside(hosts.client, packet_socket))
        listener = undo.enter_context(inside(hosts.server, lambda: socket.create_server(("198.18.20.10", 1060))))
        ours = undo.enter_context(
            inside(hosts.client, lambda: socket.create_connection(("198.18.20.10", 1060), LIMIT_S))
        )
        theirs = undo.enter_context(listener.accept()[0])
        for program, end in ((server, theirs), (client, ours)):
            end.settimeout(None)
            thread = threading.Thread(target=lambda p=program, e=end: p(e))
            undo.callback(thread.join, LIMIT_S)
            undo.callback(hang_up, end)
            thread.start()
        return capture(taker, enough, quiet_s)


def hang_up(end: socket.socket) -> None:
    with suppress(OSError):  # It may have ended by itself.
        end.shutdown(socket.SHUT_RDWR)


def capture(taker: socket.socket, enough: Callable[[WireFacts], bool], quiet_s: float) -> Played:
    """Raises TimeoutError if no frame comes for so long."""
    frames: list[Frame] = []
    wire = WireWitness()
    taker.settimeout(quiet_s)
    while not enough(facts := wire.facts()):
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
    reader.join(LIMIT_S)


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
    """Until both sides have probed; in the stall that some pairs come to instead one never does (ACK starvation)."""
    for _ in range(TRIES):
        with suppress(TimeoutError):
            return play(hosts, upper, write_only, lambda facts: min(facts.probes_since_still) >= 2, quiet_s=QUIET_S)
    raise AssertionError(f"no pair of {TRIES} froze")


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
