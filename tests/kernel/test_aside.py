import os
import signal
import time

import pytest

from lab import errors
from lab.kernel.aside import aside


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_result_of_a_child_that_is_gone_afterwards() -> None:
    with aside(os.getpid) as child:
        pid = child.result()
    assert pid != os.getpid()
    assert gone(pid)


def test_a_result_larger_than_a_pipe() -> None:
    with aside(lambda: bytes(1 << 20)) as child:
        assert len(child.result()) == 1 << 20


def test_what_the_child_raises_is_raised_here() -> None:
    def lacking() -> None:
        raise errors.EnvironmentLacksError("no veth pair may be made here")

    with aside(lacking) as child, pytest.raises(errors.EnvironmentLacksError, match=r"^no veth pair may be made here$"):
        child.result()


def test_a_defect_comes_with_the_childs_own_traceback() -> None:
    with aside(lambda: 1 // 0) as child, pytest.raises(RuntimeError, match=r"in <lambda>[\s\S]*ZeroDivisionError"):
        child.result()


def test_a_child_that_was_killed_is_one_line() -> None:
    with (
        aside(lambda: os.kill(os.getpid(), signal.SIGKILL)) as child,
        pytest.raises(errors.TestbedError, match="before it had an answer"),
    ):
        child.result()


def test_a_child_that_takes_too_long_is_one_line_and_killed() -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)

    def tell_and_sleep() -> None:
        os.write(writer, os.getpid().to_bytes(4, "little"))
        time.sleep(60)

    with aside(tell_and_sleep) as child:
        with pytest.raises(errors.TestbedError, match="before it had an answer"):
            child.result(limit_s=0.2)
        pid = int.from_bytes(os.read(reader, 4), "little")
    assert gone(pid)
    os.close(reader)
    os.close(writer)


def test_who_is_interrupted_does_not_wait_for_the_child() -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), aside(lambda: time.sleep(60)):
        raise KeyboardInterrupt
    assert time.monotonic() - began < 30
