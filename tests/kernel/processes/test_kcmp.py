"""Two tasks share a file, a memory or a table, or do not, as the kernel says; what it refuses to say is None."""

import os
from collections.abc import Iterator

import pytest

from lab.kernel.processes.kcmp import KcmpType, is_epoll_member, same
from tests.kernel.nobody import as_nobody
from tests.kernel.sleepers import Sleeper, sleeper

FAMILY = """
import mmap
r, w = os.pipe(); d = os.dup(r); pid = os.fork()
if pid == 0: time.sleep(60)
threading.Thread(target=lambda: (say(pid, threading.get_native_id(), r, d, w), time.sleep(60))).start(); time.sleep(60)
"""


@pytest.fixture
def family() -> Iterator[tuple[Sleeper, list[int]]]:
    """A process, its child, its second thread, and three descriptors: two of one file, and another."""
    with sleeper(FAMILY) as program:
        words = [int(word) for word in program.words]
        yield program, words
        os.kill(words[0], 9)


def test_a_file_is_the_same_under_every_number_and_in_a_child(family: tuple[Sleeper, list[int]]) -> None:
    program, (child, _, r, d, w) = family
    assert same(KcmpType.FILE, program.pid, program.pid, r, d) is True
    assert same(KcmpType.FILE, program.pid, child, r, r) is True
    assert same(KcmpType.FILE, program.pid, program.pid, r, w) is False
    assert same(KcmpType.FILE, program.pid, program.pid, r, 999) is False, "there is no such descriptor"


@pytest.mark.parametrize("kind", [KcmpType.MEMORY, KcmpType.TABLE])
def test_threads_share_memory_and_table_and_a_child_has_its_own(
    family: tuple[Sleeper, list[int]], kind: KcmpType
) -> None:
    program, (child, thread, *_) = family
    assert same(kind, program.pid, thread) is True
    assert same(kind, program.pid, child) is False


def test_a_task_that_has_ended_shares_nothing(family: tuple[Sleeper, list[int]]) -> None:
    program, (child, *_) = family
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    assert same(KcmpType.MEMORY, program.pid, gone) is False
    assert same(KcmpType.MEMORY, program.pid, child) is False


def test_who_may_not_compare_is_not_told(family: tuple[Sleeper, list[int]]) -> None:
    program, (child, *_) = family
    assert as_nobody(lambda: same(KcmpType.MEMORY, program.pid, child)) is None


def test_a_member_of_an_epoll_set_is_known_by_its_file_and_its_turn() -> None:
    code = """
p = select.epoll(); one = os.eventfd(0); other = os.eventfd(0); d = os.dup(one)
p.register(d, select.EPOLLIN); os.dup2(other, d); p.register(d, select.EPOLLIN)
say(p.fileno(), d, one, other); time.sleep(60)
"""
    with sleeper(code) as program:
        epoll, number, one, other = map(int, program.words)
        member = {
            (fd, nth): is_epoll_member(program.pid, fd, epoll, number, nth) for fd in (one, other) for nth in (0, 1)
        }
    assert sorted(nth for (fd, nth), found in member.items() if found) == [0, 1]
    assert member[one, 0] is not member[one, 1]
    assert member[other, 0] is not member[one, 0]
