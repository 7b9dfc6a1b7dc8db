"""What a sleeping thread waits for, read from live programs, one of every kind."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from lab.evidence import Item, Resource, Wants
from lab.kernel.processes.waits import _READERS
from lab.syscalls import BY_NUMBER, Form
from tests.kernel.sleepers import POLLED, sleeper
from tests.waiting import seen

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


def test_accept_waits_for_a_new_connection() -> None:
    with sleeper("l = socket.create_server(('127.0.0.1', 0)); say(inode(l)); l.accept()") as program:
        assert program.resources("accept4") == [(f"listener:{program.words[0]}", "accept", False)]


def test_a_pipe_is_waited_for_at_both_ends() -> None:
    with sleeper("r, w = os.pipe(); say(inode(r)); os.read(r, 1)") as program:
        assert program.resources("read") == [(f"pipe:{program.words[0]}", "read", False)]
    with sleeper("r, w = os.pipe(); say(inode(r)); os.write(w, bytes(1 << 20))") as program:
        assert program.resources("write") == [(f"pipe:{program.words[0]}", "write", False)]


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
    def number() -> str:
        return Path(f"/proc/{pid}/syscall").read_text().split()[0]

    return seen(number, ("23", "270", "72").__contains__, what="a call of select") != "23"


def test_a_descriptor_that_was_closed_and_used_again_is_what_it_is_now() -> None:
    """The call keeps the file that it began with; what its number refers to meanwhile is all that can be seen."""
    code = """
a, b = os.pipe(); c, d = os.pipe(); threading.Thread(target=os.read, args=(a, 1)).start(); say(inode(a), inode(c))
sys.stdin.readline(); os.dup2(c, a); say("done"); time.sleep(60)
"""
    with sleeper(code) as program:
        program.asleep("read", 1)
        program.tell()
        assert program.resources("read") == [(f"pipe:{program.words[1]}", "read", False)]


def test_of_a_descriptor_that_was_closed_nobody_knows_who_ends_the_wait() -> None:
    code = """
a, b = os.pipe(); threading.Thread(target=os.read, args=(a, 1)).start(); say("x")
sys.stdin.readline(); os.close(a); say("done"); time.sleep(60)
"""
    with sleeper(code) as program:
        program.asleep("read", 1)
        program.tell()
        assert program.resources("read") == [("other:closed", "read", False)]


OVERWRITTEN = """
libc.mmap.restype = ctypes.c_void_p; page = ctypes.c_void_p(libc.mmap(None, 4096, 3, 0x22, -1, 0))
def set_to(file): ctypes.memmove(page, struct.pack("ihh", file.fileno(), 4, 0), 8)
set_to(c); threading.Thread(target=libc.poll, args=(page, 1, -1)).start()
sys.stdin.readline(); {change}; print("done", flush=True); time.sleep(60)
"""


def test_a_set_that_was_overwritten_is_read_as_it_is_now() -> None:
    """The call works on its own copy, which nobody can read."""
    with sleeper(POLLED + OVERWRITTEN.format(change="set_to(s)")) as program:
        assert program.resources("poll") == [(f"socket:{program.words[0]}", "write", False)]
        program.tell()
        assert program.resources("poll") == [(f"socket:{program.words[1]}", "write", False)]


def test_a_set_that_cannot_be_read_any_more_is_unknown() -> None:
    with sleeper(POLLED + OVERWRITTEN.format(change="libc.munmap(page, 4096)")) as program:
        program.asleep("poll")
        program.tell()
        assert program.wait("poll").unknown


def test_a_wait_for_a_new_connection_is_unknown_while_one_has_begun() -> None:
    """TCP_DEFER_ACCEPT: it is accepted when its first byte comes, or a time is over."""
    code = """
l = socket.create_server(("127.0.0.1", 0)); l.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
begun = socket.create_connection(l.getsockname()); say(inode(l)); l.accept()
"""
    with sleeper(code) as program:
        assert program.wait("accept4").unknown


@pytest.mark.parametrize("seconds", ["1.5e9", "9.2e9"])
def test_a_limit_that_is_decades_away_is_none(seconds: str) -> None:
    """Whatever timers of other programs are armed, of which one might be an earlier sleep of the same call."""
    with sleeper(POLLED + f"select.select([], [c], [], {seconds})") as program:
        wait = program.wait("pselect6" if _glibc_selects_with_pselect(program.pid) else "select")
        assert (wait.timed, wait.deadline_ns, wait.unknown) == (False, None, None)


def test_a_connection_that_nobody_has_answered_yet_has_begun() -> None:
    """SYN-SENT: a filter of the listening socket drops every SYN."""
    code = """
l = socket.create_server(("127.0.0.1", 0)); drop = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0))
l.setsockopt(socket.SOL_SOCKET, 26, struct.pack("=H6xQ", 1, ctypes.addressof(drop)))
c = socket.socket(); c.setblocking(False); c.connect_ex(l.getsockname()); say(inode(l)); l.accept()
"""
    with sleeper(code) as program:
        assert "has begun" in (program.wait("accept4").unknown or "")


def test_a_connection_in_the_queue_of_another_listener_of_the_port_may_be_handed_over() -> None:
    """SO_REUSEPORT: nothing lies in the queue of the one that waits."""
    code = """
def listener(port):
    found = socket.socket(); found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.bind(("127.0.0.1", port)); found.listen(64); found.setblocking(False); return found
mine = listener(0); other = listener(mine.getsockname()[1]); kept = []
while not select.select([other], [], [], 0)[0]:
    kept.append(socket.create_connection(mine.getsockname()))
    try: kept.append(mine.accept()[0])
    except BlockingIOError: pass
say(inode(mine)); mine.setblocking(True); mine.accept()
"""
    with sleeper(code) as program:
        assert "has begun" in (program.wait("accept4").unknown or "")


def test_of_a_pipe_into_which_only_the_kernel_writes_no_process_has_the_write_end(tmp_path: Path) -> None:
    """The write end of an autofs mount; it is made in a mount namespace that ends with the program."""
    code = f"""
r, w = os.pipe(); libc.unshare(0x20000); libc.mount(None, b"/", None, 0x44000, None)
options = f"fd={{w}},pgrp={{os.getpgrp()}},minproto=5,maxproto=5,indirect".encode()
refused = libc.mount(b"lab", {bytes(tmp_path)!r}, b"autofs", 0, options); os.close(w)
say(inode(r), refused); os.read(r, 1)
"""
    with sleeper(code) as program:
        inode, refused = program.words
        assert refused == "0"
        assert "autofs" in (program.wait("read").unknown or "")
        table, pipe = program.descriptors.table(program.pid), Resource.parse(f"pipe:{inode}")
        assert (pipe in table.read_ends, pipe in table.write_ends) == (True, False)


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
