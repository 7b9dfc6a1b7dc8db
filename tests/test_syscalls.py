"""The table of system calls: each name and number once, and what the proof asks of it."""

import pytest

from lab.syscalls import (
    BY_NUMBER,
    ON_ONE_DESCRIPTOR,
    POLLS,
    RECEIVES,
    SENDS,
    TABLE,
    Form,
    size_to_write,
)


def test_each_name_and_number_stands_once() -> None:
    assert len({each.name for each in TABLE}) == len(TABLE)
    for machine, known in (("x86_64", [each.x86_64 for each in TABLE]), ("aarch64", [each.aarch64 for each in TABLE])):
        numbers = [number for number in known if number is not None]
        assert len(set(numbers)) == len(numbers) == len(BY_NUMBER[machine])


def test_since_linux_5_1_a_number_is_the_same_everywhere() -> None:
    assert all(each.x86_64 == each.aarch64 for each in TABLE if max(each.x86_64 or 0, each.aarch64 or 0) > 402)


def test_sends_receives_and_polls_are_the_calls_of_the_manual() -> None:
    assert {"write", "writev", "pwrite64", "pwritev2", "sendto", "sendmsg", "sendmmsg"} == SENDS
    assert {"read", "readv", "pread64", "preadv2", "recvfrom", "recvmsg", "recvmmsg"} == RECEIVES
    assert {"poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2"} == POLLS
    assert SENDS | RECEIVES | {"accept", "accept4", "connect"} == ON_ONE_DESCRIPTOR


def test_a_poll_says_where_its_time_limit_is() -> None:
    assert all(each.limit for each in TABLE if each.polls)


def test_a_call_on_descriptors_says_which() -> None:
    on_descriptors = (Form.TRANSFER, Form.SENDFILE, Form.HANDSHAKE)
    for each in TABLE:
        assert (each.reads is not None or each.writes is not None) is (each.form in on_descriptors)


@pytest.mark.parametrize(
    ("call", "args", "size"),
    [
        ("sendto", (3, 0x7F00, 1024, 0, 0, 0), 1024),
        ("write", (3, 0x7F00, 16, 0, 0, 0), 16),
        ("write", (3,), None),
        ("sendmsg", (3, 0x7F00, 0, 0, 0, 0), None),
        ("recvfrom", (3, 0x7F00, 1024, 0, 0, 0), None),
        ("syscall-999", (1, 2, 3, 4, 5, 6), None),
        ("running", (), None),
        (None, (), None),
    ],
)
def test_the_size_of_a_write_is_among_its_arguments_or_not_known(
    call: str | None, args: tuple[int, ...], size: int | None
) -> None:
    assert size_to_write(call, args) == size
