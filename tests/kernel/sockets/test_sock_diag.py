"""What inet_diag says of a socket is what the socket says of itself by getsockopt, field by field."""

import fcntl
import os
import socket
import struct
import time
from contextlib import closing

import pytest

from lab.errors import LabError
from lab.evidence import SocketSample
from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.sock_diag import SocketDiag, join_address, split_address
from lab.spec import Pair, Role
from tests.kernel.hosts import connected, written
from tests.waiting import at_rest, seen

SO_MEMINFO, SO_COOKIE = 55, 57
NLMSG_NOOP = 1
ANSWER_S = 1
"""How long an answer is waited for that does not come."""
SIOCINQ, SIOCOUTQ, SIOCOUTQNSD = 0x541B, 0x5411, 0x894B

# linux/tcp.h, struct tcp_info: where each field lies and how it is packed.
TCP_INFO = {
    "rto_us": (8, "I"),
    "snd_mss": (16, "I"),
    "rcv_mss": (20, "I"),
    "unacked": (24, "I"),
    "snd_cwnd": (80, "I"),
    "reordering": (88, "I"),
    "bytes_acked": (120, "Q"),
    "bytes_received": (128, "Q"),
    "notsent_bytes": (144, "I"),
    "snd_wnd": (228, "I"),
    "rcv_wnd": (232, "I"),
}
MEMINFO = ("rmem_alloc", "rcvbuf", None, "sndbuf", None, "wmem_queued", None, "backlog", "drops")


def sampled(host: Namespace, end: socket.socket, role: Role, cookie: int | None = None) -> SocketSample | None:
    with closing(SocketDiag(host)) as diag:
        return diag.sample(role, written(end.getsockname()), written(end.getpeername()), cookie)


def said(end: socket.socket) -> dict[str, int]:
    """The same facts, from the socket itself."""
    info = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 280)
    facts = {name: struct.unpack_from(f"={kind}", info, at)[0] for name, (at, kind) in TCP_INFO.items()}
    meminfo = struct.unpack("=9I", end.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))
    facts |= {name: value for name, value in zip(MEMINFO, meminfo, strict=True) if name}
    facts["cookie"] = struct.unpack("=Q", end.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]
    facts["inode"] = os.fstat(end.fileno()).st_ino
    for name, request in (("rqueue", SIOCINQ), ("wqueue", SIOCOUTQ)):
        facts[name] = struct.unpack("=i", fcntl.ioctl(end, request, bytes(4)))[0]
    assert facts["notsent_bytes"] == struct.unpack("=i", fcntl.ioctl(end, SIOCOUTQNSD, bytes(4)))[0]
    return facts


def fill(end: socket.socket) -> int:
    """Send until there is no room any more."""
    sent = 0
    end.setblocking(False)
    try:
        while True:
            sent += end.send(bytes(65536))
    except BlockingIOError:
        return sent
    finally:
        end.setblocking(True)


def settled(hosts: Pair[Namespace], ends: Pair[socket.socket]) -> Pair[SocketSample]:
    """Both sides, once no byte is in motion any more."""

    def look() -> Pair[SocketSample | None]:
        return Pair(*(sampled(hosts[role], ends[role], role) for role in Role))

    def moving(samples: Pair[SocketSample | None]) -> object:
        return [s and (s.wqueue, s.rqueue, s.bytes_acked, s.bytes_received, s.snd_wnd) for s in samples]

    client, server = at_rest(look, 0.03, key=moving, ready=all)
    assert client is not None
    assert server is not None
    return Pair(client, server)


def closed(hosts: Pair[Namespace], ends: Pair[socket.socket]) -> tuple[int, Pair[SocketSample]]:
    """How much the client had to send until it waits behind the server's closed window, and both sides then.

    Buffers grow while they are filled, so that one that was full may have room again. And the last bytes before the
    window is closed are a fragment, which the persist timer sends after 200 ms or more.
    """
    sent = 0

    def look() -> Pair[SocketSample]:
        nonlocal sent
        sent += fill(ends.client)
        return settled(hosts, ends)

    samples = seen(look, lambda both: both.client.wqueue and both.client.snd_wnd == 0, what="a closed window")
    return sent, samples


@pytest.mark.parametrize("ip", [4, 6])
def test_every_field_is_what_the_socket_says_of_itself(hosts: Pair[Namespace], ip: int) -> None:
    """With a queue full of unread bytes on one side, and a full one that waits behind a zero window on the other."""
    with connected(hosts, ip) as ends:
        sent, _ = closed(hosts, ends)
        ends.server.recv(1000)
        samples = seen(lambda: settled(hosts, ends), lambda both: both.client.expires_ms > 0, what="a timer ahead")
        for role in Role:
            facts = said(ends[role])
            assert {name: getattr(samples[role], name) for name in facts} == facts
            assert (samples[role].local, samples[role].remote) == (
                written(ends[role].getsockname()),
                written(ends[role].getpeername()),
            )
            assert samples[role].state == "ESTABLISHED"
            assert samples[role].role is role
        client, server = samples
        assert client.bytes_acked - 1 + client.wqueue == sent, "the SYN counts one"
        assert server.bytes_received == server.rqueue + 1000
        assert client.wqueue > 0
        assert client.snd_wnd == 0
        assert client.timer == "persist"
        assert 0 < client.expires_ms <= 120_000
        assert server.timer == "none"


def test_the_state_follows_the_conversation(hosts: Pair[Namespace]) -> None:
    with connected(hosts) as ends:
        ends.client.shutdown(socket.SHUT_WR)
        ends.server.recv(1)
        client, server = settled(hosts, ends)
        assert (client.state, server.state) == ("FIN-WAIT-2", "CLOSE-WAIT")


def test_a_socket_is_found_only_in_its_own_namespace_and_by_its_own_side(hosts: Pair[Namespace]) -> None:
    with connected(hosts) as ends:
        assert sampled(hosts.client, ends.client, Role.CLIENT)
        assert sampled(hosts.server, ends.client, Role.CLIENT) is None
        assert sampled(Namespace.here(), ends.client, Role.CLIENT) is None


def test_a_socket_that_has_gone_is_none(hosts: Pair[Namespace]) -> None:
    with closing(SocketDiag(hosts.client)) as diag:
        with connected(hosts) as ends:
            local, remote = written(ends.client.getsockname()), written(ends.client.getpeername())
            assert diag.sample(Role.CLIENT, local, remote)
            ends.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            ends.client.close()
            assert diag.sample(Role.CLIENT, local, remote) is None
        assert diag.sample(Role.CLIENT, local, remote) is None


def test_a_socket_in_time_wait_is_none(hosts: Pair[Namespace]) -> None:
    with connected(hosts) as ends:
        local, remote = written(ends.client.getsockname()), written(ends.client.getpeername())
        ends.client.shutdown(socket.SHUT_WR)
        assert ends.server.recv(1) == b""
        ends.server.close()
        assert ends.client.recv(1) == b""
        ends.client.close()
        with closing(SocketDiag(hosts.client)) as diag:
            assert diag.sample(Role.CLIENT, local, remote) is None


def test_a_cookie_tells_a_socket_from_the_next_one_with_the_same_addresses(hosts: Pair[Namespace]) -> None:
    cookies = []
    for _ in range(2):
        with connected(hosts, port=1061, client_port=40404) as ends:
            sample = sampled(hosts.client, ends.client, Role.CLIENT)
            assert sample is not None
            assert sampled(hosts.client, ends.client, Role.CLIENT, sample.cookie) is not None
            cookies.append(sample.cookie)
            if len(cookies) == 2:
                assert cookies[0] != cookies[1]
                assert sampled(hosts.client, ends.client, Role.CLIENT, cookies[0]) is None
            ends.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("text", ["198.18.20.10:1060", "[2001:2::c612:140a]:1", "[::1]:65535", "0.0.0.0:0"])
def test_an_address_is_written_as_it_is_read(text: str) -> None:
    assert join_address(*split_address(text)) == text


def test_what_lies_above_tcp_is_told_whose_descriptor_looks_like_tcp_s_own() -> None:
    try:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    except OSError:
        pytest.skip("no MPTCP here")
    with listener, socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        with closing(SocketDiag(Namespace.here())) as diag:
            inode = os.fstat(client.fileno()).st_ino
            assert [each.ulp for each in diag.samples() if each.inode == inode] == ["mptcp"]


def test_a_kernel_that_does_not_answer_is_no_end_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.kernel.sockets.netlink.ANSWER_S", ANSWER_S)
    with closing(SocketDiag(Namespace.here())) as diag:
        began = time.monotonic()
        with pytest.raises(LabError, match="sock_diag does not answer: timed out"):
            diag.answers([struct.pack("=IHHII", 16, NLMSG_NOOP, 0, 0, 0)])  # which has no answer
        assert time.monotonic() - began > 0.9 * ANSWER_S, "it is waited for"
