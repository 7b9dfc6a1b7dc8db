"""What the two stacks may do alone: one fact of a frozen pair changed at a time, and a live pair."""

import contextlib
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from socket import IPPROTO_TCP, TCP_WINDOW_CLAMP
from typing import Any

import pytest

from lab.evidence import SocketSample
from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.earlier import EarlierSamples
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.proof.stack import could_read, could_receive_data, could_signal_writable, could_write
from lab.proof.stack.ruling import Possible, Ruling
from lab.report.reasons import words
from lab.spec import Role
from tests.proof.frozen_pair import client, server
from tests.waiting import seen, until


@pytest.mark.parametrize(
    ("here", "there", "word"),
    [
        ({}, {"rcv_wnd": 1}, "offers a window of 1"),
        ({"snd_wnd": 1}, {}, "has not yet heard"),
        ({"backlog": 512}, {}, "backlog"),
        ({}, {"backlog": 512}, "backlog"),
        ({"notsent_bytes": 7264, "unacked": 1}, {}, "96 bytes of .* in flight and not yet refused"),
        ({"unacked": 1}, {}, "do not fit"),
        ({"notsent_bytes": 8000}, {}, "do not fit"),
        ({}, {"rmem_alloc": 5000}, "3192 bytes free and may open"),
        ({"wmem_queued": 5000}, {}, "has room"),
        ({"user_timeout_ms": 9000}, {}, "TCP_USER_TIMEOUT 9000"),
        ({}, {"user_timeout_ms": 9000}, "TCP_USER_TIMEOUT 9000"),
    ],
)
def test_a_writer_may_go_on_if_one_fact_is_reversed(here: dict[str, Any], there: dict[str, Any], word: str) -> None:
    found = could_write(client(**here), server(**there))
    assert found.possible is Possible.YES
    assert re.search(word, words(found.reason)), words(found.reason)


@pytest.mark.parametrize(
    ("here", "there", "named"),
    [
        ({"snd_wnd": None}, {}, "tcpi_snd_wnd"),
        ({}, {"rcv_wnd": None, "rmem_alloc": 5000}, "tcpi_rcv_wnd"),
        ({"user_timeout_ms": None}, {}, "TCP_USER_TIMEOUT"),
        ({}, {"user_timeout_ms": None}, "TCP_USER_TIMEOUT"),
        ({"state": "FIN-WAIT-1"}, {}, "FIN-WAIT-1"),
        ({}, {"state": "FIN-WAIT-2"}, "FIN-WAIT-2"),
    ],
)
def test_a_fact_that_is_missing_is_named(here: dict[str, Any], there: dict[str, Any], named: str) -> None:
    found = could_write(client(**here), server(**there))
    assert found.possible is Possible.UNKNOWN
    assert named in words(found.reason)


def test_an_empty_connection_brings_nothing_by_itself() -> None:
    still = {"rqueue": 0, "rmem_alloc": 0, "wqueue": 0, "notsent_bytes": 0, "wmem_queued": 0, "rcv_wnd": 4096}
    here, there = client(**still), server(**still)
    assert could_read(here, there).possible is Possible.NO
    assert could_signal_writable(here, there).possible is Possible.NO
    assert could_write(here, there).possible is Possible.YES
    assert could_read(here, replace(there, wqueue=1)).possible is Possible.YES
    assert could_read(replace(here, rqueue=1), there).possible is Possible.YES
    assert could_receive_data(replace(here, rqueue=1), there).possible is Possible.NO
    assert could_read(replace(here, state="CLOSE-WAIT"), there).possible is Possible.YES
    assert could_read(here, replace(there, state="LAST-ACK")).possible is Possible.UNKNOWN


def test_room_is_announced_again_only_by_a_segment_that_arrives() -> None:
    assert could_signal_writable(client(), server()).possible is Possible.NO
    assert could_signal_writable(client(wmem_queued=2000), server()).possible is Possible.YES
    assert could_signal_writable(client(), server(rcv_wnd=99)).possible is Possible.YES


BUFFER = 4096
ASKED: dict[str, Any] = {"user_timeout_ms": 0, "ulp": "", "error_queue": "", "sndbuf_locked": True}
"""What the copy of a descriptor tells of them."""


@contextlib.contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends on loopback, with small buffers."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as near:
        for each in (listener, near):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        near.connect(listener.getsockname())
        far, _ = listener.accept()
        with far:
            for each in (near, far):
                each.setblocking(False)
            yield near, far


def write(*ends: socket.socket) -> None:
    for each in ends:
        with contextlib.suppress(BlockingIOError):
            while True:
                each.send(bytes(512))


def samples(
    diag: SocketDiag, known: EarlierSamples, near: socket.socket, far: socket.socket
) -> tuple[SocketSample, SocketSample]:
    one, other = (f"{host}:{port}" for host, port in (near.getsockname(), far.getsockname()))
    found = (diag.sample(Role.CLIENT, one, other), diag.sample(Role.SERVER, other, one))
    here, there = (
        replace(known.added_to(each), **ASKED, window_clamp=end.getsockopt(IPPROTO_TCP, TCP_WINDOW_CLAMP))
        for each, end in zip(found, (near, far), strict=True)
        if each
    )
    return here, there


def sealed(here: SocketSample, there: SocketSample) -> tuple[Ruling, Ruling]:
    return could_write(here, there), could_write(there, here)


def test_a_live_pair_is_called_sealed_soon_and_moves_no_byte_until_somebody_reads() -> None:
    with connected() as (near, far), contextlib.closing(SocketDiag(Namespace.here())) as diag:
        look = partial(samples, diag, EarlierSamples(), near, far)

        def rulings() -> tuple[Ruling, Ruling]:
            write(near, far)
            return sealed(*look())

        seen(rulings, lambda both: all(each.possible is Possible.NO for each in both))
        first = look()

        def has_probed() -> bool:
            """Each side once more, which is all that TCP still does; and no byte has moved."""
            now = look()
            assert [(s.bytes_acked, s.bytes_received, s.wmem_queued) for s in now] == [
                (s.bytes_acked, s.bytes_received, s.wmem_queued) for s in first
            ]
            return all(s.backoff > before.backoff for s, before in zip(now, first, strict=True))

        until(has_probed)
        while far.recv(1 << 16, socket.MSG_DONTWAIT) and could_write(*look()).possible is Possible.NO:
            pass
        assert could_write(*look()).possible is Possible.YES


def test_keep_alives_without_an_answer_end_a_connection_that_brings_nothing() -> None:
    idle: dict[str, Any] = {"wqueue": 0, "notsent_bytes": 0, "rqueue": 0, "timer": "keepalive"}
    for probes, possible in ((0, Possible.NO), (1, Possible.YES)):
        found = could_receive_data(client(**idle, probes=probes), server(**idle, probes=0))
        assert found.possible is possible
