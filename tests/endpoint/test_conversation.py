"""Counting is cheap, and every way in which bytes can go wrong is seen."""

import os
import time
import timeit
from collections.abc import Callable, Iterator

import pytest

from lab.endpoint.conversation import Conversation
from lab.endpoint.job import Job
from lab.endpoint.payload import PERIOD, CorruptError, Stream
from lab.endpoint.progress import ProgressPage


def job(payload: int = 1 << 40, send_size: int = 16, answer: str = "upper") -> Job:
    return Job("upper", 4, "127.0.0.1", 0, payload, send_size, 4096, 1024, answer)


@pytest.fixture
def page() -> Iterator[ProgressPage]:
    descriptor = os.memfd_create("page")
    os.truncate(descriptor, 4096)
    yield ProgressPage(descriptor)
    os.close(descriptor)


def cost(statement: Callable[[], object], number: int = 20_000) -> float:
    """In calls of time.time_ns(), 60 ns each on an idle core at 2 GHz: a busy machine slows both down."""
    rounds = (timeit.timeit(statement, number=number) / timeit.timeit(time.time_ns, number=number) for _ in range(7))
    return min(rounds)


def test_counting_costs_no_more_than_a_few_calls_of_a_function(page: ProgressPage) -> None:
    client, server = Conversation("client", job(), page), Conversation("server", job(), page)
    block = Stream(4096).piece(0, 16).tobytes()

    def receive() -> None:
        server.received_bytes = 0
        server.received(block)

    messages = client.outgoing()
    assert cost(lambda: client.sent(16)) < 16
    assert cost(lambda: next(messages)) < 16
    assert cost(receive) < 24


def test_a_conversation_of_small_messages_is_ready_in_2_ms(page: ProgressPage) -> None:
    assert cost(lambda: Conversation("client", job(), page), 20) < 33_000


def test_messages_follow_where_the_last_send_ended(page: ProgressPage) -> None:
    conversation = Conversation("client", job(payload=40), page)
    lengths = []
    for taken, message in zip((16, 5, 16, 3), conversation.outgoing(), strict=True):
        lengths.append(len(message))
        assert message.tobytes() == Stream(64).piece(conversation.sent_bytes, len(message)).tobytes()
        conversation.sent(taken)
    assert lengths == [16, 16, 16, 3]


def test_messages_are_whole_across_the_seam_of_the_stream(page: ProgressPage) -> None:
    conversation = Conversation("client", job(send_size=10_000), page)
    conversation.sent(PERIOD - 16)
    assert next(conversation.outgoing()).tobytes()[:32] == b"000000000001002\n000000000000000\n"


@pytest.mark.parametrize("shift", [-65536, -4096, -1448, -16, -1, 1, 16, 1024, 65483, 1 << 20])
def test_a_hole_or_a_repetition_is_corrupt(page: ProgressPage, shift: int) -> None:
    conversation, stream = Conversation("server", job(), page), Stream(4096)
    conversation.received(stream.piece(0, 1024).tobytes())
    with pytest.raises(CorruptError, match="at byte 1"):
        conversation.received(stream.piece(1024 + shift, 1024).tobytes())


def test_two_swapped_segments_are_corrupt(page: ProgressPage) -> None:
    conversation, stream = Conversation("server", job(), page), Stream(4096)
    with pytest.raises(CorruptError, match="at byte 5 "):
        conversation.received(stream.piece(1448, 1448).tobytes() + stream.piece(0, 1448).tobytes())


def test_each_flipped_bit_is_corrupt(page: ProgressPage) -> None:
    good = Stream(64).piece(0, 32).tobytes()
    for bit in range(8 * 32):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptError, match=f"at byte {bit // 8} "):
            Conversation("server", job(), page).received(bytes(bad))


@pytest.mark.parametrize(
    ("role", "answer", "counted", "shortfall"),
    [
        ("client", "upper", (32, 32), None),
        ("client", "upper", (16, 16), "EOF: 16 of 32 bytes were sent"),
        ("client", "upper", (32, 16), "EOF: 16 of 32 bytes came"),
        ("client", "nothing", (32, 0), None),
        ("server", "upper", (0, 32), None),
        ("server", "nothing", (0, 16), "EOF: 16 of 32 bytes came"),
    ],
)
def test_what_is_lacking_at_the_end_is_said(
    page: ProgressPage, role: str, answer: str, counted: tuple[int, int], shortfall: str | None
) -> None:
    conversation = Conversation(role, job(payload=32, answer=answer), page)
    conversation.sent_bytes, conversation.received_bytes = counted
    assert conversation.shortfall(role) == shortfall
