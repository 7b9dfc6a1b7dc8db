"""What a descriptor refers to, whatever has become of its number since."""

import os
import signal
from pathlib import Path

from lab.evidence import ResourceKind
from lab.kernel.processes.descriptor_tables import scan
from lab.kernel.processes.descriptors import CLOSED, epoll_set, scm_fds, timer_left_ns
from tests.kernel.sleepers import POLLED, sleeper


def test_a_table_names_what_its_descriptors_refer_to() -> None:
    code = """
c, s = connection(); a, b = socket.socketpair(); r, w = os.pipe(); e = os.eventfd(0); f = open(sys.executable)
t = libc.timerfd_create(1, 0)
say(inode(c), inode(s), inode(a), inode(b), inode(r), t); time.sleep(60)
"""
    with sleeper(code) as program:
        program.asleep("clock_nanosleep")
        c, s, a, b, r, t = program.words
        table = program.descriptors.table(program.pid)
    found = {str(each) for each in table.resources.values()}
    assert {f"socket:{c}", f"socket:{s}", f"unix:{a}", f"unix:{b}", f"pipe:{r}", f"timerfd:{program.pid}/{t}"} <= found
    assert sum(each.startswith("eventfd:") for each in found) == 1
    assert not any("python" in each for each in found), "a file is none's wait"


def test_two_eventfds_of_two_processes_are_told_apart_and_an_inherited_one_is_the_same() -> None:
    code = "e = os.eventfd(0); pid = os.fork(); pid and say(pid); time.sleep(60)"
    with sleeper(code) as one, sleeper(code) as other:
        tables = scan(one.descriptors)
        own = {
            pid: {each for each in tables.by_pid[pid].resources.values() if each.kind is ResourceKind.EVENTFD}
            for pid in (one.pid, int(one.words[0]), other.pid)
        }
        for each in (one, other):
            os.kill(int(each.words[0]), signal.SIGKILL)
    assert own[one.pid] == own[int(one.words[0])]
    assert own[one.pid].isdisjoint(own[other.pid])


def test_a_named_pipe_may_be_opened_by_anybody_so_nobody_knows_who_wakes_its_reader(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with sleeper(f"f = os.open({str(path)!r}, os.O_RDWR); say(0); os.read(f, 1)") as program:
        assert program.resources("read") == [(f"other:{path}", "read", False)]


def test_an_epoll_member_whose_descriptor_was_used_again_is_still_the_file() -> None:
    code = """
p = select.epoll(); d = os.dup(c.fileno()); p.register(d, select.EPOLLOUT); os.close(d); os.dup2(e, d); p.poll()
"""
    with sleeper(POLLED + code) as program:
        assert program.resources("epoll_wait") == [(f"socket:{program.words[0]}", "write", False)]


def test_an_eventfd_whose_number_is_another_s_by_now_is_not_taken_for_that() -> None:
    code = """
p = select.epoll(); d = os.eventfd(0); k = os.dup(d); p.register(d, select.EPOLLIN); p.register(e, select.EPOLLIN)
os.dup2(e, d); p.poll()
"""
    with sleeper(POLLED + code) as program:
        one, other = sorted(program.resources("epoll_wait"))
        assert one[0].startswith("eventfd:")
        assert other[0].startswith("other:no more")


def test_a_thread_with_a_table_of_its_own_reads_what_the_number_means_there() -> None:
    code = """
a, b = os.pipe(); c, d = os.pipe()
def wait():
    libc.unshare(0x400); os.dup2(c, a); say(inode(a)); os.read(a, 1)
threading.Thread(target=wait).start(); time.sleep(60)
"""
    with sleeper(code) as program:
        assert program.resources("read") == [(f"pipe:{program.words[0]}", "read", False)]


def test_a_number_that_is_not_in_use_is_closed() -> None:
    with sleeper("say('x'); time.sleep(60)") as program:
        assert program.descriptors.resource(program.pid, 999) == CLOSED


def test_a_pidfd_is_its_process_and_none_once_that_has_ended() -> None:
    code = """
pid = os.fork()
if pid == 0: time.sleep(60)
fd = os.pidfd_open(pid); say(pid, fd); os.waitpid(pid, 0); say('ended'); time.sleep(60)
"""
    with sleeper(code) as program:
        pid, fd = map(int, program.words)
        assert str(program.descriptors.resource(program.pid, fd)) == f"process:{pid}"
        os.kill(pid, signal.SIGKILL)
        program.says()
        assert str(program.descriptors.resource(program.pid, fd)) == "other:pidfd"


def test_an_epoll_set_tells_the_events_of_each_member_and_its_turn_under_its_number() -> None:
    code = """
p = select.epoll(); p.register(c, select.EPOLLOUT | select.EPOLLET)
d = os.dup(c.fileno()); p.register(d, select.EPOLLIN); os.close(d); os.dup2(e, d); p.register(d, select.EPOLLIN)
say(p.fileno(), c.fileno(), d); time.sleep(60)
"""
    with sleeper(POLLED + code) as program:
        epoll, one, twice = map(int, program.says().split())
        members = sorted(epoll_set(program.pid, epoll), key=lambda each: (each.fd != one, each.nth))
    assert [(each.fd, each.nth) for each in members] == [(one, 0), (twice, 0), (twice, 1)]
    assert [bool(each.events & 1 << 31) for each in members] == [True, False, False]
    assert [bool(each.events & 0x4) for each in members] == [True, False, False]


def test_a_timerfd_tells_what_it_has_left_while_it_is_armed() -> None:
    code = """
idle, armed = (libc.timerfd_create(1, 0) for _ in range(2))
libc.timerfd_settime(armed, 0, struct.pack("qqqq", 0, 0, 60, 0), None); say(idle, armed); time.sleep(60)
"""
    with sleeper(code) as program:
        idle, armed = map(int, program.words)
        assert timer_left_ns(program.pid, idle) is None
        assert 0 < (timer_left_ns(program.pid, armed) or 0) <= 60_000_000_000


def test_descriptors_that_lie_in_a_queue_are_counted() -> None:
    code = (
        "a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [0, 1, 2]); say(a.fileno(), b.fileno()); time.sleep(60)"
    )
    with sleeper(code) as program:
        assert [scm_fds(program.pid, int(word)) for word in program.words] == [0, 3]
