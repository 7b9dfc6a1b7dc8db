"""Every behaviour, played over loopback; and what is said when the network refuses, breaks or lies."""

import platform
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.endpoint.endpoint_stage import SQUEEZED, Controller, Stage, descriptors, still
from tests.waiting import LIMIT_S, until

SENDTO = {"x86_64": 44, "aarch64": 206}[platform.machine()]

CURING = ["alternate", "batches", "credit", "threads", "asyncio_streams"]
"""Clients that read before the buffers are full."""

COMPLETING = [
    ("upper", "write_then_read", "upper", 32),
    ("upper", "write_then_read", "upper", 0),
    ("upper", "write_then_read", "upper", 100_007),
    ("upper", "send_then_read", "upper", 32),
    ("echo", "send_then_read", "echo", 100_000),
    ("echo", "write_while_reading", "echo", 0),
    ("echo", "write_while_reading", "echo", 4 << 20),
    ("upper", "write_while_reading", "upper", 1 << 20),
    *[("upper", client, "upper", 100_007) for client in CURING],
    *[("echo", client, "echo", 400_000) for client in CURING],
    *[(server, "write_then_read", "upper", 3 << 20) for server in ("spools", "after_request")],
    *[(server, "send_then_read", "echo", 0) for server in ("spools", "after_request")],
    *[("upper", client, "upper", 32) for client in ("send_timeout", "user_timeout", "nonblocking_naive")],
    ("slow_reader", "write_only", "nothing", 100_000),
    ("slow_reader", "write_only", "nothing", 0),
]


def ended(controller: Controller) -> dict[str, Any]:
    event = controller.event()
    assert event.pop("event") == "ended"
    assert event.pop("peak") > 1 << 20, "a Python program has more than a MiB of memory"
    return event


def verified(sent: int, received: int) -> dict[str, Any]:
    return {"sent": sent, "received": received, "error": None, "corrupt": False}


@pytest.mark.parametrize(("server", "client", "answer", "payload"), COMPLETING)
def test_a_pair_completes_with_every_byte_verified(
    stage: Stage, server: str, client: str, answer: str, payload: int
) -> None:
    conversing, serving = stage.play(server, client, answer=answer, payload=payload, send_size=1024, recv_size=4096)
    answered = 0 if answer == "nothing" else payload
    assert ended(conversing) == verified(payload, answered)
    assert conversing.event() == {"event": "exited", "status": 0, "signal": None}
    assert ended(serving) == verified(answered, payload)
    assert conversing.counters() == (payload, answered)
    assert serving.counters() == (answered, payload)
    assert "all verified" in conversing.log()


def test_they_converse_over_ipv6(stage: Stage) -> None:
    client, server = stage.play("upper", "write_then_read", family=6, address="::1")
    assert ended(client) == verified(32, 32)
    assert server.log().startswith("server 0.00")
    assert "listening on [::1]:" in server.log()


def test_a_server_serves_one_client_after_the_other_and_counts_each_from_zero(stage: Stage) -> None:
    client, server = stage.play("upper", "write_then_read")
    assert ended(client) == verified(32, 32)
    assert ended(server) == verified(32, 32)
    port = int(server.log().split("listening on 127.0.0.1:")[1].split()[0])
    client = stage.give("client", behaviour="write_then_read", port=port)
    client.event()
    assert ended(client) == verified(32, 32)
    assert server.event()["event"] == "connected"
    assert ended(server) == verified(32, 32)
    assert server.counters() == (32, 32)


def test_connected_tells_addresses_and_effective_buffers(stage: Stage) -> None:
    server = stage.give("server", so_rcvbuf=5000, so_sndbuf=6000)
    port = server.event()["port"]
    client = stage.give("client", behaviour="idle", port=port, so_rcvbuf=7000)
    event, twin = client.event(), server.event()
    assert event["remote"] == twin["local"] == ["127.0.0.1", port]
    assert event["local"] == twin["remote"]
    assert (twin["rcvbuf"], twin["sndbuf"], event["rcvbuf"]) == (10000, 12000, 14000)


@pytest.mark.parametrize(("server", "client"), [("upper", "write_then_read"), ("echo", "send_then_read")])
def test_the_published_pairs_freeze_in_a_send_that_really_blocks(stage: Stage, server: str, client: str) -> None:
    conversing, serving = stage.play(server, client, answer=server, payload=1 << 30, **SQUEEZED)
    still(conversing, serving)
    assert conversing.counters()[1] == 0 < conversing.counters()[0]
    for role in ("client", "server"):
        assert Path(f"/proc/{stage.child(role)}/syscall").read_text().startswith(f"{SENDTO} ")


def test_the_healthy_client_moves_on_where_the_published_one_freezes(stage: Stage) -> None:
    client, _ = stage.play("echo", "write_while_reading", answer="echo", payload=1 << 20, send_size=1024, **SQUEEZED)
    assert ended(client) == verified(1 << 20, 1 << 20)


@pytest.mark.parametrize(
    ("server", "client"),
    [*(("echo", client) for client in CURING), ("spools", "write_then_read"), ("after_request", "write_then_read")],
)
def test_a_cured_pair_moves_on_where_the_published_one_freezes(stage: Stage, server: str, client: str) -> None:
    sizes = {"so_rcvbuf": 8192, "so_sndbuf": 8192}
    payload = 256 << 10  # more than four such buffers hold; a batch may cost a delayed acknowledgment of 40 ms
    pair = stage.play(server, client, answer="echo", payload=payload, send_size=1024, recv_size=1024, **sizes)
    assert [ended(controller) for controller in pair] == [verified(payload, payload)] * 2


def test_a_send_timeout_is_an_error_for_the_client_and_nothing_for_the_server(stage: Stage) -> None:
    client, server = stage.play("upper", "send_timeout", payload=1 << 30, **SQUEEZED)
    report = ended(client)
    assert report["error"].startswith("EAGAIN: ")
    assert 0 < report["sent"] < 1 << 30
    still(client, server, for_s=0.2)
    assert Path(f"/proc/{stage.child('server')}/syscall").read_text().startswith(f"{SENDTO} ")
    assert "ended" not in server.log()


def test_a_user_timeout_is_an_error_for_both(stage: Stage) -> None:
    client, server = stage.play("upper", "user_timeout", payload=1 << 30, **SQUEEZED)
    assert ended(client)["error"].startswith("ETIMEDOUT: ")
    assert ended(server)["error"].startswith("ECONNRESET: ")


def test_a_naive_client_never_blocks_and_is_refused_again_and_again(stage: Stage) -> None:
    client, server = stage.play("echo", "nonblocking_naive", answer="echo", payload=1 << 30, **SQUEEZED)
    still(client, server, for_s=0.3)
    refused = client.refused()
    until(lambda: client.refused() > refused + 1000)
    assert server.refused() == 0


def test_a_silent_server_stops_its_client_with_nothing_read(stage: Stage) -> None:
    client, server = stage.play("silent", "write_only", answer="nothing", payload=1 << 30, **SQUEEZED)
    still(client, server)
    assert client.counters()[0] > 0
    assert server.counters() == (0, 0)


@pytest.mark.parametrize("client", ["read_first", "idle"])
def test_who_does_not_write_gets_no_answer(stage: Stage, client: str) -> None:
    pair = stage.play("upper", client, payload=32)
    still(*pair, for_s=0.2)
    assert [controller.words()[1:] for controller in pair] == [(0, 0, 0), (0, 0, 0)]


def test_a_slow_reader_moves_all_the_time(stage: Stage) -> None:
    client, server = stage.play("slow_reader", "write_only", answer="nothing", payload=64 << 20, **SQUEEZED)
    for _ in range(20):
        before = server.counters()[1]
        until(lambda before=before: server.counters()[1] > before)  # type: ignore[misc]
    assert client.counters()[0] >= server.counters()[1]


def test_a_paced_client_rests_after_each_send(stage: Stage) -> None:
    since = time.monotonic()
    client, _ = stage.play("upper", "write_then_read", payload=160, paced_s=0.02)
    assert ended(client) == verified(160, 160)
    assert time.monotonic() - since > 10 * 0.02


def connect_to(server: Controller) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.event()["port"]), LIMIT_S)


def test_one_wrong_byte_at_the_server_is_a_loud_error_and_the_next_client_is_served(stage: Stage) -> None:
    server = stage.give("server")
    port = server.event()["port"]
    with socket.create_connection(("127.0.0.1", port), LIMIT_S) as raw:
        raw.sendall(b"000000000000000\n0000000x00000001\n"[:32])
        assert server.event()["event"] == "connected"
        report = ended(server)
    assert report["corrupt"]
    assert report["received"] == 32
    assert report["error"].startswith("corrupt: at byte 23 expected b'00000001\\n', got b'x")
    assert "corrupt: at byte 23" in server.log()
    client = stage.give("client", behaviour="write_then_read", port=port)
    client.event()
    assert ended(client) == verified(32, 32)


@pytest.mark.parametrize(
    ("answer", "error", "corrupt"),
    [
        (b"000000000000000\n000000000000001\n", None, False),
        (b"000000000000000\n000000000000002\n", "corrupt: at byte 30", True),
        (b"000000000000000\n000000000000001\n0", "corrupt: 33 bytes came, but only 32 had to", True),
        (b"000000000000000\n", "EOF: 16 of 32 bytes came", False),
        (b"", "EOF: 0 of 32 bytes came", False),
    ],
)
def test_the_client_checks_each_answer_and_their_number(
    stage: Stage, answer: bytes, error: str | None, corrupt: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT_S)
        client = stage.give("client", behaviour="write_then_read", port=listener.getsockname()[1])
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(LIMIT_S)
            while connection.recv(100):
                pass
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)
            assert client.event()["event"] == "connected"
            report = ended(client)
    assert (report["error"] or "").startswith(error or "")
    assert (report["error"] is None) == (error is None)
    assert report["corrupt"] is corrupt
    assert client.event()["status"] == (0 if error is None else 1)


def test_an_answer_where_none_had_to_come_is_corrupt(stage: Stage) -> None:
    client, _ = stage.play("upper", "write_only", answer="nothing")
    assert re.match(r"corrupt: (16|32) bytes came, but only 0 had to", ended(client)["error"])


def test_capitals_are_told_from_an_echo(stage: Stage) -> None:
    client, _ = stage.play("echo", "write_then_read", answer="upper", payload=1024)
    assert ended(client)["error"].startswith("corrupt: at byte 174 expected b'A\\n")


def test_a_reset_is_named(stage: Stage) -> None:
    server = stage.give("server")
    with connect_to(server) as raw:
        server.event()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert ended(server)["error"] == "ECONNRESET: Connection reset by peer"


def test_a_request_that_ends_early_is_named(stage: Stage) -> None:
    server = stage.give("server")
    with connect_to(server) as raw:
        raw.sendall(b"000000000000000\n")
        server.event()
        raw.shutdown(socket.SHUT_WR)
        assert ended(server)["error"] == "EOF: 16 of 32 bytes came"


def test_a_server_that_dies_under_its_frozen_client_is_named(stage: Stage) -> None:
    client, server = stage.play("upper", "write_then_read", payload=1 << 30, **SQUEEZED)
    still(client, server)
    stage.processes["server"].terminate()
    assert ended(client)["error"].split(":")[0] in ("ECONNRESET", "EPIPE")


def test_what_cannot_begin_ends_with_its_reason(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = stage.give("server", port=port)
        assert ended(server)["error"].startswith(f"EADDRINUSE: cannot bind to 127.0.0.1 port {port}")
    assert server.event() == {"event": "exited", "status": 1, "signal": None}
    client = stage.give("client", behaviour="idle", port=port)
    assert ended(client)["error"].startswith("ECONNREFUSED: cannot connect to 127.0.0.1")
    client = stage.give("client", behaviour="idle", port=port, congestion="nosuch")
    assert ended(client)["error"].startswith("ENOENT: cannot set congestion control nosuch")


def test_options_reach_the_socket_that_was_accepted(stage: Stage) -> None:
    server = stage.give("server", nodelay=True, congestion="reno", behaviour="silent")
    with connect_to(server):
        server.event()
        child = stage.child("server")
        (accepted,) = accepted_sockets(child)
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"reno"


def accepted_sockets(pid: int) -> list[socket.socket]:
    """Copies of the connected TCP sockets of a process, by pidfd_getfd(2)."""
    import ctypes
    import os

    pidfd, libc = os.pidfd_open(pid), ctypes.CDLL(None, use_errno=True)
    found = []
    for number, link in descriptors(pid).items():
        if link.startswith("socket:["):
            copy = socket.socket(fileno=libc.syscall(438, pidfd, number, 0))
            if copy.family == socket.AF_INET and not copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                found.append(copy)
            else:
                copy.close()
    os.close(pidfd)
    return found
