"""A helper process answers calls in their order, with descriptors both ways, and is gone at the end in any case."""

import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from lab import errors
from lab.kernel.place.helper_process import LARGEST, HelperProcess
from lab.kernel.place.netns import Namespace
from tests.waiting import LIMIT_S


@pytest.fixture
def helper() -> Iterator[HelperProcess]:
    with HelperProcess() as begun:
        yield begun


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def lacking() -> None:
    raise errors.EnvironmentLacksError("no veth pair may be made here")


def divided(by: int) -> float:
    return 1 / by


def inode_of(namespace: Namespace) -> int:
    assert namespace.fd is not None
    return os.fstat(namespace.fd).st_ino


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def large() -> bytes:
    return bytes(LARGEST)


def test_calls_are_another_processs_and_answered_in_their_order() -> None:
    with HelperProcess() as helper:
        pid = helper.call(os.getpid)
        for by in (1, 2, 4):
            helper.ask(divided, by)
        assert [helper.answer() for _ in range(3)] == [1, 0.5, 0.25]
    assert pid != os.getpid()
    assert gone(pid)


def test_what_is_to_be_done_ahead_is_done_while_there_is_no_call() -> None:
    reader, writer = os.pipe()
    with HelperProcess(lambda: os.write(writer, b"1"), lambda: os.write(writer, b"2")) as helper:
        assert os.read(reader, 1) + os.read(reader, 1) == b"12"
        assert helper.call(divided, 1) == 1
    os.close(reader)
    os.close(writer)


def test_a_call_comes_before_what_is_to_be_done_ahead() -> None:
    with HelperProcess(lambda: time.sleep(0.2), lambda: time.sleep(3600)) as helper:
        helper.ask(divided, 2)
        assert helper.answer(limit_s=LIMIT_S) == 0.5


def test_what_it_raises_is_raised_here(helper: HelperProcess) -> None:
    with pytest.raises(errors.EnvironmentLacksError, match=r"^no veth pair may be made here$"):
        helper.call(lacking)
    assert helper.call(divided, 1) == 1, "it goes on"


def test_a_defect_comes_with_its_own_traceback(helper: HelperProcess) -> None:
    with pytest.raises(RuntimeError, match=r"in divided[\s\S]*ZeroDivisionError"):
        helper.call(divided, 0)


@pytest.mark.root
def test_a_namespace_goes_with_a_call_and_is_not_kept(helper: HelperProcess) -> None:
    before = helper.call(descriptors)
    with Namespace.create() as namespace:
        assert helper.call(inode_of, namespace) == inode_of(namespace)
    assert helper.call(descriptors) == before


def test_a_socket_comes_with_an_answer_and_is_not_kept(helper: HelperProcess) -> None:
    before = helper.call(descriptors)
    with helper.call(listening) as listener:
        socket.create_connection(listener.getsockname()).close()
    assert helper.call(descriptors) == before


def test_one_that_was_killed_is_one_line(helper: HelperProcess) -> None:
    with pytest.raises(errors.TestbedError, match="before it had an answer"):
        helper.call(killed)
    with pytest.raises(errors.TestbedError, match="before it had an answer"):
        helper.call(divided, 1)


def test_an_answer_that_is_too_large_is_a_defect_and_no_wait_for_ever(helper: HelperProcess) -> None:
    with pytest.raises(errors.TestbedError, match="before it had an answer"):
        helper.call(large)


def test_one_that_takes_too_long_is_one_line_and_killed() -> None:
    with HelperProcess() as helper:
        pid = helper.call(os.getpid)
        helper.ask(time.sleep, 60)
        with pytest.raises(errors.TestbedError, match="before it had an answer"):
            helper.answer(limit_s=0.2)
    assert gone(pid)


def test_who_is_interrupted_does_not_wait_for_it() -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), HelperProcess() as helper:  # noqa: PT012
        helper.ask(time.sleep, 3600)
        raise KeyboardInterrupt
    assert time.monotonic() - began < LIMIT_S
