"""What a sleeping thread waits for, read from live programs, one of every kind."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.evidence import Item, Resource, Wants
from lab.kernel.processes.deadlines import Deadlines
from lab.kernel.processes.waits import _READERS, Waits
from lab.kernel.procfs import children_of
from lab.syscalls import BY_NUMBER, Form
from tests.kernel.sleepers import LIMIT_S, sleeper

MS = 1_000_000


def test_a_blocked_send_waits_for_room_in_its_tcp_socket() -> None:
    with sleeper("c, s = connection(); say(inode(c)); c.sendall(bytes(1 << 28))") as program:
        assert program.resources("sendto") == [(f"socket:{program.words[0]}", "write", False)]
        assert not program.wait("sendto").timed


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("c.recv(1)", "recvfrom"),
        ("os.read(c.fileno(), 1)", "read"),
        ("os.readv(c.fileno(), [bytearray(1)])", "readv"),
        ("c.recvmsg(1)", "recvmsg"),
    ],
)
def test_a_blocked_receive_waits_for_data(statement: str, call: str) -> None:
    with sleeper(f"c, s = connection(); say(inode(c)); {statement}") as program:
        assert program.resources(call) == [(f"socket:{program.words[0]}", "read", False)]


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("while True: os.write(c.fileno(), bytes(1 << 20))", "write"),
        ("while True: os.writev(c.fileno(), [bytes(1 << 20)])", "writev"),
        ("while True: c.sendmsg([bytes(1 << 20)])", "sendmsg"),
    ],
)
def test_every_kind_of_send_waits_for_room(statement: str, call: str) -> None:
    with sleeper(f"c, s = connection(); say(inode(c))\n{statement}") as program:
        assert program.resources(call) == [(f"socket:{program.words[0]}", "write", False)]


def test_sendfile_waits_for_room_in_what_it_writes_to() -> None:
    code = """
c, s = connection(); say(inode(c)); f = os.open(sys.executable, 0)
while True: os.sendfile(c.fileno(), f, 0, 1 << 20)
"""
    with sleeper(code) as program:
        assert program.resources("sendfile") == [(f"socket:{program.words[0]}", "write", False)]


def test_a_send_with_a_time_limit_is_timed_and_not_dated() -> None:
    limit = "c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('qq', 60, 0))"
    with sleeper(f"c, s = connection(); {limit}; say(inode(c)); c.sendall(bytes(1 << 28))") as program:
        wait = program.wait("sendto")
    assert wait.timed
    assert wait.deadline_ns is None


def test_a_receive_does_not_end_by_the_limit_for_sends() -> None:
    limit = "c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('qq', 60, 0))"
    with sleeper(f"c, s = connection(); {limit}; say(inode(c)); c.recv(1)") as program:
        assert not program.wait("recvfrom").timed


def test_accept_waits_for_a_new_connection() -> None:
    with sleeper("l = socket.create_server(('127.0.0.1', 0)); say(inode(l)); l.accept()") as program:
        assert program.resources("accept4") == [(f"listener:{program.words[0]}", "accept", False)]


def test_a_unix_socket_and_its_acceptor_are_told_apart() -> None:
    with sleeper("a, b = socket.socketpair(); say(inode(a), inode(b)); a.recv(1)") as program:
        assert program.resources("recvfrom") == [(f"unix:{program.words[0]}", "read", False)]
        entry = program.index.unix(int(program.words[0]))
        assert entry is not None
        assert entry.peer == int(program.words[1])
    with sleeper("l = socket.socket(socket.AF_UNIX); l.bind(''); l.listen(); say(inode(l)); l.accept()") as program:
        assert program.resources("accept4") == [(f"unix:{program.words[0]}", "accept", False)]


def test_room_for_a_datagram_may_come_from_whoever_was_sent_one_before() -> None:
    code = """
a = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); b, c = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
b.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192); say(inode(b))
while True: b.send(bytes(4096))
"""
    with sleeper(code) as program:
        resource = f"other:unix:{program.words[0]}, which sends datagrams"
        assert program.resources("sendto") == [(resource, "write", False)]


def test_a_pipe_is_waited_for_at_both_ends() -> None:
    with sleeper("r, w = os.pipe(); say(inode(r)); os.read(r, 1)") as program:
        assert program.resources("read") == [(f"pipe:{program.words[0]}", "read", False)]
    with sleeper("r, w = os.pipe(); say(inode(r)); os.write(w, bytes(1 << 20))") as program:
        assert program.resources("write") == [(f"pipe:{program.words[0]}", "write", False)]


def test_a_named_pipe_may_be_opened_by_anybody_so_nobody_knows_who_wakes_its_reader(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with sleeper(f"f = os.open({str(path)!r}, os.O_RDWR); say(0); os.read(f, 1)") as program:
        assert program.resources("read") == [(f"other:{path}", "read", False)]


POLLED = """
c, s = connection(); e = os.eventfd(0); fill = c.setblocking(False)
try:
    while True: c.send(bytes(1 << 16))
except BlockingIOError: pass
say(inode(c), inode(s))
"""


def test_poll_waits_for_each_descriptor_and_event() -> None:
    code = "p = select.poll(); p.register(c, select.POLLOUT); p.register(e, select.POLLIN); p.register(0, 0); p.poll()"
    with sleeper(POLLED + code) as program:
        one, two, three = program.resources("poll")
        assert one == (f"socket:{program.words[0]}", "write", False)
        assert two[0].startswith("eventfd:")
        assert two[1:] == ("read", False)
        assert three[1:] == ("read", True), "no event wanted: a hang-up that has not come yet"


def test_poll_with_a_limit_is_dated() -> None:
    with sleeper(POLLED + "p = select.poll(); p.register(c, select.POLLOUT); p.poll(60_000)") as program:
        wait = program.wait("poll")
        assert wait.timed
        assert wait.deadline_ns is not None
        assert 50e9 < wait.deadline_ns - time.time_ns() <= 60e9


def test_ppoll_reads_its_limit_from_memory() -> None:
    code = """
ts = struct.pack("qq", 60, 0); fds = struct.pack("ihh", c.fileno(), 4, 0)
libc.ppoll(fds, 1, ts if len(sys.argv) < 2 else None, None)
"""
    with sleeper(POLLED + code) as program:
        assert program.resources("ppoll") == [(f"socket:{program.words[0]}", "write", False)]
        assert program.wait("ppoll").deadline_ns is not None


@pytest.mark.parametrize(("limit", "timed"), [("", False), (", 60", True)])
def test_select_reads_three_sets(limit: str, timed: bool) -> None:
    with sleeper(POLLED + f"select.select([e], [c], []{limit})") as program:
        wait = program.wait("pselect6" if _glibc_selects_with_pselect(program.pid) else "select")
        found = {(str(item.resource.kind), item.wants.value) for item in wait.items}
        assert found == {("eventfd", "read"), ("socket", "write")}
        assert wait.timed is timed
        assert (wait.deadline_ns is not None) is timed


def _glibc_selects_with_pselect(pid: int) -> bool:
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        number = Path(f"/proc/{pid}/syscall").read_text().split()[0]
        if number in ("23", "270", "72"):
            return number != "23"
        time.sleep(0.002)
    raise AssertionError("it does not select")


def test_epoll_without_limit_waits_for_its_members_only() -> None:
    with sleeper(POLLED + "p = select.epoll(); p.register(c, select.EPOLLOUT); p.register(s, 0); p.poll()") as program:
        client, server = (f"socket:{inode}" for inode in program.words)
        assert set(program.resources("epoll_wait")) == {(client, "write", False), (server, "read", True)}
        assert not program.wait("epoll_wait").timed


def test_an_edge_triggered_member_is_told_as_such() -> None:
    both = "select.EPOLLOUT | select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET"
    with sleeper(POLLED + f"p = select.epoll(); p.register(c, {both}); p.poll()") as program:
        socket_ = f"socket:{program.words[0]}"
        assert program.resources("epoll_wait") == [(socket_, "write", True), (socket_, "read", True)]


def test_a_one_shot_counts_while_armed_and_no_more_once_fired() -> None:
    once = "p = select.epoll(); p.register(c, select.EPOLLOUT | select.EPOLLONESHOT);"
    with sleeper(POLLED + once + "p.poll()") as program:
        assert program.resources("epoll_wait") == [(f"socket:{program.words[0]}", "write", False)]
    fired = "p = select.epoll(); p.register(s, select.EPOLLIN | select.EPOLLONESHOT); p.poll(); p.poll()"
    with sleeper(POLLED + fired) as program:
        assert program.resources("epoll_wait") == []


def test_a_nested_epoll_is_expanded() -> None:
    nested = """
inner = select.epoll(); inner.register(c, select.EPOLLOUT)
p = select.epoll(); p.register(inner, select.EPOLLIN); p.poll()
"""
    with sleeper(POLLED + nested) as program:
        assert program.resources("epoll_wait") == [(f"socket:{program.words[0]}", "write", False)]


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


TIMERFD = """
t = libc.timerfd_create(1, 0); libc.timerfd_settime(t, 0, struct.pack("qqqq", 0, 0, 60, 0), None)
"""


def test_a_timerfd_in_an_epoll_set_is_its_deadline() -> None:
    code = "p = select.epoll(); p.register(t, select.EPOLLIN); p.poll()"
    with sleeper(POLLED + TIMERFD + code) as program:
        wait = program.wait("epoll_wait")
        assert wait.timed
        assert wait.deadline_ns is not None
        assert 50e9 < wait.deadline_ns - time.time_ns() <= 60e9


def test_asyncio_waits_for_its_socket_and_its_own_pipe() -> None:
    code = """
async def main():
    reader, writer = await asyncio.open_connection(sock=c)
    await reader.read(1)
c, s = connection(); say(inode(c)); asyncio.run(main())
"""
    with sleeper(code) as program:
        wait = program.wait("epoll_wait")
        assert {str(item.resource.kind) for item in wait.items} == {"socket", "unix"}
        assert not wait.timed


@pytest.mark.parametrize("statement", ["l.acquire()", "threading.Event().wait()"])
def test_a_futex_waits_for_the_other_threads_of_the_process(statement: str) -> None:
    with sleeper(f"l = threading.Lock(); l.acquire(); say('x'); {statement}") as program:
        assert program.resources("futex") == [(f"process:{program.pid}", "wake", False)]
        assert not program.wait("futex").timed


def test_a_futex_with_a_limit_is_dated() -> None:
    with sleeper("say('x'); threading.Event().wait(60)") as program:
        wait = program.wait("futex")
        assert wait.deadline_ns is not None
        assert 50e9 < wait.deadline_ns - time.time_ns() <= 60e9


FUTEX = """
import mmap
page = mmap.mmap(-1, 4096, flags={flags})
word = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(page)))
long = ctypes.c_ulong
end = (long * 2)(int(time.monotonic()) + 60, 0)
say('x'); libc.syscall({number}, word, {arguments})
"""
NUMBERS = {call.name: number for number, call in BY_NUMBER[os.uname().machine].items()}
FUTEXES = {"futex": "0, 0, None, None, 0", "futex_wait": "long(0), long(0xFFFFFFFF), 2, {end}, 1"}
"""The arguments after the word: FUTEX_WAIT, and FUTEX2_SIZE_U32 by CLOCK_MONOTONIC."""
RELEASE = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))
has_futex_wait = pytest.mark.skipif(RELEASE < (6, 7), reason="futex_wait(2) came with Linux 6.7")


@pytest.mark.parametrize(("flags", "known"), [("mmap.MAP_PRIVATE", True), ("mmap.MAP_SHARED", False)])
@pytest.mark.parametrize("call", ["futex", pytest.param("futex_wait", marks=has_futex_wait)])
def test_a_shared_futex_is_the_process_s_own_only_in_private_memory(call: str, flags: str, known: bool) -> None:
    arguments = FUTEXES[call].format(end=None)
    with sleeper(FUTEX.format(flags=flags, number=NUMBERS[call], arguments=arguments)) as program:
        wait = program.wait(call)
        assert (wait.unknown is None) is known
        assert not wait.timed


@has_futex_wait
def test_the_end_of_a_futex_wait_is_an_instant_of_its_clock() -> None:
    arguments = FUTEXES["futex_wait"].format(end="end")
    code = FUTEX.format(flags="mmap.MAP_PRIVATE", number=NUMBERS["futex_wait"], arguments=arguments)
    with sleeper(code) as program:
        wait = program.wait("futex_wait")
        assert wait.items == (Item(Resource.process(program.pid), Wants.WAKE),)
        assert wait.deadline_ns is not None
        assert 40e9 < wait.deadline_ns - time.time_ns() <= 60e9


def test_every_form_of_arguments_has_a_reader_but_what_is_in_no_argument() -> None:
    assert set(Form) - _READERS.keys() == {Form.NOWHERE}


def test_wait4_waits_for_its_child() -> None:
    code = "pid = os.fork()\nif pid == 0: time.sleep(60)\nsay(pid); os.waitpid({which}, 0)"
    for which in ("pid", "-1"):
        with sleeper(code.format(which=which)) as program:
            assert program.resources("wait4") == [(f"process:{program.words[0]}", "end", False)]
            os.kill(int(program.words[0]), signal.SIGKILL)


def test_whom_a_process_traces_counts_as_its_child() -> None:
    code = """
r, w = os.pipe(); child = os.fork()
if child == 0:
    stranger = os.fork()
    if stranger: os.write(w, struct.pack("i", stranger)); os._exit(0)
    time.sleep(60)
stranger, = struct.unpack("i", os.read(r, 4)); os.waitpid(child, 0)
libc.ptrace(0x4206, stranger, None, None); say(stranger); os.waitpid(-1, 0)
"""
    with sleeper(code) as program:
        assert program.resources("wait4") == [(f"process:{program.words[0]}", "end", False)]
        os.kill(int(program.words[0]), signal.SIGKILL)


def test_waitid_on_a_pidfd_names_the_process() -> None:
    code = """
pid = os.fork()
if pid == 0: time.sleep(60)
say(pid); p = select.poll(); p.register(os.pidfd_open(pid), select.POLLIN); p.poll()
"""
    with sleeper(code) as program:
        assert program.resources("poll") == [(f"process:{program.words[0]}", "end", False)]
        os.kill(int(program.words[0]), signal.SIGKILL)


def test_pause_without_any_handler_waits_for_nothing_and_with_one_is_unknown() -> None:
    quiet = "[signal.signal(n, 0) for n in (signal.SIGINT,)]; say('x'); signal.pause()"
    with sleeper(quiet) as program:
        assert program.resources("pause") == []
    with sleeper("say('x'); signal.pause()") as program:
        assert "signal" in str(program.wait("pause").unknown)


def test_what_is_not_understood_is_unknown() -> None:
    with sleeper("import fcntl, tempfile; f = tempfile.TemporaryFile(); say('x'); signal.sigwait({10})") as program:
        assert program.wait("rt_sigtimedwait").unknown
    with sleeper("say('x')\nwhile True: pass") as program:
        thread = program.threads.of(program.pid)[0]
        thread.read()
        wait, _ = program.waits.of(thread)
        assert wait is not None
        assert wait.unknown == "it runs"


def test_a_stopped_thread_is_suspended() -> None:
    with sleeper("r, w = os.pipe(); say('x'); os.read(r, 1)") as program:
        assert program.asleep("read").line.state == "S"
        os.kill(program.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, program.pid, os.WSTOPPED | os.WNOWAIT)
        program.wait("read")
        assert program.asleep("read").suspended == "stopped"


@contextmanager
def frozen_group(pid: int) -> Iterator[None]:
    """The process in a frozen cgroup of its own, of the version that this machine has."""
    version_1 = Path("/sys/fs/cgroup/freezer")
    root = version_1 if version_1.is_dir() else Path("/sys/fs/cgroup")
    knob, on, off = ("freezer.state", "FROZEN", "THAWED") if root is version_1 else ("cgroup.freeze", "1", "0")
    group = root / f"lab-test-{pid}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(pid))
        (group / knob).write_text(on)
        yield
    finally:
        (group / knob).write_text(off)
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + LIMIT_S
        while (group / "cgroup.procs").read_text() and time.monotonic() < end:
            time.sleep(0.002)
        group.rmdir()


@pytest.mark.parametrize("statement", ["os.read(os.pipe()[0], 1)", "select.epoll().poll()", "threading.Event().wait()"])
def test_a_frozen_thread_is_suspended(statement: str) -> None:
    """In each of the two ways of the version 1 freezer: woken to be frozen, or frozen where it sleeps."""
    with sleeper(f"say('x'); {statement}") as program, frozen_group(program.pid):
        assert program.asleep({"o": "read", "s": "epoll_wait", "t": "futex"}[statement[0]]).line.state == "D"
        program.wait({"o": "read", "s": "epoll_wait", "t": "futex"}[statement[0]])
        assert program.threads.of(program.pid)[0].suspended == "frozen"


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("time.sleep({s})", "clock_nanosleep"),
        ("select.epoll().poll({s})", "epoll_wait"),
        ("select.poll().poll({s} * 1000)", "poll"),
        ("threading.Event().wait({s})", "futex"),
        ("libc.nanosleep(struct.pack('qq', 0, int({s} * 1e9)), None)", "clock_nanosleep"),
    ],
)
@pytest.mark.parametrize("timer_list", ["/proc/timer_list", "/nowhere"])
def test_a_deadline_is_right_within_20_ms_and_never_late(statement: str, call: str, timer_list: str) -> None:
    """With the timers of the machine to compare with, and where they are hidden."""
    code = f"say('x'); {statement.format(s=0.4)}; say(time.time_ns()); time.sleep(60)"
    with sleeper(code) as program:
        program.waits = Waits(program.descriptors, Deadlines(Path(timer_list)))
        deadline = program.wait(call).deadline_ns
        ended = int(program.says())
    assert deadline is not None
    assert -20 * MS <= deadline - ended <= 1 * MS


@pytest.mark.parametrize(("timer_list", "presumed"), [("/proc/timer_list", False), ("/nowhere", True)])
def test_where_the_timers_are_hidden_nobody_knows_whether_a_poll_has_slept_before(
    timer_list: str, presumed: bool
) -> None:
    with sleeper("say('x'); select.poll().poll(60_000)") as program:
        program.waits = Waits(program.descriptors, Deadlines(Path(timer_list)))
        assert program.wait("poll").presumed is presumed
    with sleeper("say('x'); time.sleep(60)") as program:
        program.waits = Waits(program.descriptors, Deadlines(Path(timer_list)))
        assert not program.wait("clock_nanosleep").presumed


def test_the_timer_of_somebody_else_is_not_taken_for_that_of_a_poll_which_slept_before() -> None:
    """It is woken after a while, nobody knows for what; another poll begins then that is to last as long."""
    code = """
r, w = os.pipe(); os.sched_setaffinity(0, {0})
if os.fork() == 0:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)); os.read(r, 1); select.poll().poll(8000); os._exit(0)
if os.fork() == 0:
    time.sleep(2); os.write(w, b"!"); os._exit(0)
p = select.poll(); p.register(r, select.POLLIN); say(time.time_ns()); p.poll(8000)
"""
    with sleeper(code) as program:
        began = int(program.words[0])
        time.sleep(2.5)
        deadline = program.wait("poll").deadline_ns
        for child in children_of(program.pid):
            os.kill(child, signal.SIGKILL)
    assert deadline is None or deadline <= began + 8_000 * MS + 50 * MS
