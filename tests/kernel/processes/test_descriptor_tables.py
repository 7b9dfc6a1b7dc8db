"""Which processes hold a resource, what else is told of a process, and which cannot be read."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from lab.evidence import ProcessSample, Resource
from lab.kernel.place.netns import Namespace, program_in
from lab.kernel.processes import descriptor_tables
from lab.kernel.processes.descriptor_tables import Processes, network_namespaces, scan
from lab.kernel.processes.descriptors import Descriptors
from lab.kernel.processes.socket_options import ProgramOptions, options_of
from lab.kernel.processes.threads import Line, Threads
from lab.kernel.procfs import children_of, descendants, has_ended, shows_all_processes
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.kernel.sockets.socket_index import SocketIndex
from lab.spec import Pair
from tests.kernel.nobody import as_nobody
from tests.kernel.sleepers import ONE_BYTE, Sleeper, sleeper
from tests.waiting import until


def described(program: Sleeper) -> ProcessSample:
    return Processes().sample(program.pid, program.descriptors.table(program.pid), calls_readable=True)


APART = """
c, s = connection(); i = inode(c); own = threading.Event()
def keep():
    if {apart}: libc.unshare(0x400)
    own.set(); time.sleep(60)
threading.Thread(target=keep).start(); own.wait()
if {apart}: c.close()
say(i)
if not {apart}: libc.syscall(60 if os.uname().machine == "x86_64" else 93, 0)
time.sleep(60)
"""


@pytest.mark.parametrize("apart", [True, False])
def test_a_process_holds_what_any_of_its_threads_has_whose_first_one_has_ended_or_closed_it(apart: bool) -> None:
    with sleeper(APART.format(apart=apart)) as program:
        program.asleep("clock_nanosleep", 1 if apart else 0)
        until(lambda: apart or has_ended(program.pid))
        resource = Resource.socket(int(program.words[0]))
        tables = scan(program.descriptors)
        assert tables.holders([resource]) == {program.pid}
        (place,) = tables.places(resource)
        assert place[0] != program.pid
        assert isinstance(options_of(*place), ProgramOptions)


def test_what_is_registered_in_an_io_uring_is_held_though_its_descriptor_is_closed() -> None:
    code = """
c, s = connection(); i = inode(c); p = ctypes.create_string_buffer(120); ring = libc.syscall(425, 4, p)
libc.syscall(427, ring, 2, ctypes.byref(ctypes.c_int(c.fileno())), 1); c.close(); say(i, ring); time.sleep(60)
"""
    with sleeper(code) as program:
        if int(program.words[1]) < 0:
            pytest.skip("no io_uring here")
        assert scan(program.descriptors).holders([Resource.socket(int(program.words[0]))]) == {program.pid}


def test_a_forked_child_holds_what_its_parent_holds() -> None:
    with sleeper("c, s = connection(); pid = os.fork(); pid and say(inode(c), pid); time.sleep(60)") as program:
        child = int(program.words[1])
        assert scan(program.descriptors).holders([Resource.socket(int(program.words[0]))]) == {program.pid, child}
        os.kill(child, signal.SIGKILL)


def test_a_descriptor_in_flight_is_seen_where_it_lies() -> None:
    code = """
c, s = connection(); a, b = socket.socketpair()
socket.send_fds(a, [b'x'], [c.fileno(), s.fileno()]); say(inode(c)); c.close(); s.close(); time.sleep(60)
"""
    with sleeper(code) as program:
        program.asleep("clock_nanosleep")
        tables = scan(program.descriptors)
        assert tables.holders([Resource.socket(int(program.words[0]))]) == set()
        assert program.pid in tables.with_descriptors_in_flight()
        assert described(program).in_flight == 2


def test_alarms_are_told() -> None:
    with sleeper("say('x'); time.sleep(60)") as program:
        program.asleep("clock_nanosleep")
        assert (described(program).catches_alarm, described(program).posix_timers) == (False, 0)
    code = """
signal.signal(signal.SIGALRM, print); libc.timer_create(1, None, ctypes.byref(ctypes.c_long())); say('x')
time.sleep(60)
"""
    with sleeper(code) as program:
        program.asleep("clock_nanosleep")
        assert (described(program).catches_alarm, described(program).posix_timers) == (True, 1)
        assert described(program).parent == os.getpid()


def test_a_pending_alarm_ends_a_process_that_does_not_catch_it() -> None:
    with sleeper("say('x'); signal.alarm(60); time.sleep(60)") as program:
        program.asleep("clock_nanosleep")
        for pending in (True, False, None):
            table = program.descriptors.table(program.pid)
            sample = Processes().sample(program.pid, table, calls_readable=True, alarm_pending=pending)
            assert sample.alarm_ends_it is pending
    with sleeper("signal.signal(signal.SIGALRM, signal.SIG_IGN); say('x'); time.sleep(60)") as program:
        program.asleep("clock_nanosleep")
        table = program.descriptors.table(program.pid)
        assert not Processes().sample(program.pid, table, calls_readable=True, alarm_pending=True).alarm_ends_it


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("a, b = socket.socketpair(); fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC)", "O_ASYNC"),
        ("f = tempfile.NamedTemporaryFile(); g = open(f.name); f.close(); fcntl.fcntl(g, 1024, 0)", "F_SETLEASE"),
        ("signal.signal(signal.SIGURG, print)", "SIGURG"),
        (
            "d = os.open(tempfile.gettempdir(), os.O_RDONLY); fcntl.fcntl(d, fcntl.F_NOTIFY, fcntl.DN_RENAME)",
            "F_NOTIFY",
        ),
        (
            f"q = libc.mq_open(b'/lab', os.O_RDWR | os.O_CREAT, 0o600, {ONE_BYTE}); libc.mq_unlink(b'/lab')",
            "message queue",
        ),
        (
            "signal.signal(signal.SIGWINCH, print); os.setsid(); t = os.open(os.ttyname(pty.openpty()[1]), 2)",
            "terminal",
        ),
    ],
)
def test_signals_that_the_kernel_sends_of_its_own_accord_are_told(code: str, word: str) -> None:
    code = (
        f"import fcntl, pty, tempfile; signal.signal(signal.SIGINT, signal.SIG_DFL)\n{code}\nsay('x'); time.sleep(60)"
    )
    with sleeper(code) as program:
        program.asleep("clock_nanosleep")
        assert word in "".join(described(program).hidden)


def test_a_child_whose_end_is_told_by_another_signal_is_seen() -> None:
    code = """
child = libc.syscall(56, signal.{name}, None, None, None, None)
if child == 0: time.sleep(60)
say(child); time.sleep(60)
"""
    for name, told in (("SIGUSR1", True), ("SIGCHLD", False)):
        with sleeper(code.format(name=name)) as program:
            child = int(program.words[0])
            assert described(program).reaps == ((child,) if told else ())
            os.kill(child, signal.SIGKILL)


def test_a_program_without_a_terminal_catches_its_signals_in_vain() -> None:
    with sleeper("os.setsid(); signal.signal(signal.SIGHUP, print); say('x'); time.sleep(60)") as program:
        assert described(program).hidden == ()


def test_the_children_of_a_child_whose_end_tells_nothing_may_become_its_own() -> None:
    """clone(2) with no signal for its end, as threads of other makes are. A subreaper gets the orphans."""
    code = """
signal.signal(signal.SIGCHLD, print); r, w = os.pipe()
if libc.syscall(56, 0, None, None, None, None) == 0:
    os.write(w, str(os.fork() or time.sleep(60)).encode()); time.sleep(60)
say(int(os.read(r, 20))); time.sleep(60)
"""
    with sleeper(code) as program:
        assert described(program).reaps == (int(program.words[0]),)
        for each in descendants(program.pid)[1:]:
            os.kill(each, signal.SIGKILL)


@pytest.mark.root
def test_the_first_process_of_a_pid_namespace_gets_every_orphan_of_it() -> None:
    code = """
libc.unshare(0x20000000); r, w = os.pipe(); first = os.fork()
if first == 0: signal.signal(signal.SIGCHLD, print); os.write(w, b"x"); time.sleep(60)
os.read(r, 1)
stranger = os.fork()
if stranger == 0: time.sleep(60)
say(first, stranger); time.sleep(60)
"""
    with sleeper(code) as program:
        first, stranger = map(int, program.words)
        table = program.descriptors.table(first)
        assert Processes().sample(first, table, calls_readable=True).reaps == (stranger,)
        os.kill(first, signal.SIGKILL)


def test_a_ring_without_a_descriptor_may_hold_anything() -> None:
    code = """
import mmap
p = ctypes.create_string_buffer(120); ring = libc.syscall(425, 4, p); say(ring)
libc.mmap.restype = ctypes.c_void_p; libc.mmap(None, 4096, 3, 1, ring, ctypes.c_long(0)); os.close(ring); time.sleep(60)
"""
    with sleeper(code) as program:
        if int(program.words[0]) < 0:
            pytest.skip("no io_uring here")
        program.asleep("clock_nanosleep")
        assert program.pid in scan(program.descriptors).with_descriptors_in_flight()


def test_who_may_not_read_is_told_what_is_missing() -> None:
    with sleeper("c, s = connection(); say(inode(c), c.fileno()); c.recv(1)") as program:
        program.asleep("recvfrom")

        def look() -> tuple[int, ProcessSample, Line, ProgramOptions | str]:
            tables = scan(Descriptors(SocketIndex([SocketDiag(Namespace.here())])))
            assert program.pid in tables.unreadable
            (thread,) = Threads().of(program.pid)
            thread.read()
            sample = Processes().sample(program.pid, None, calls_readable=thread.line.syscall is not None)
            return len(tables.unreadable), sample, thread.line, options_of(program.pid, int(program.words[1]))

        count, sample, line, options = as_nobody(look)
    assert count > 1
    assert sample.resources is None
    assert "CAP_SYS_PTRACE" in str(sample.missing)
    assert "system calls" in str(sample.missing)
    assert (line.syscall, line.state) == (None, "S")
    assert "CAP_SYS_PTRACE" in str(options)


def test_kernel_threads_count_as_nobody() -> None:
    diag = SocketDiag(Namespace.here())
    descriptors = Descriptors(SocketIndex([diag]))
    kernel = {int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _parent_is_kthreadd(p)}
    assert kernel
    assert as_nobody(lambda: scan(descriptors).unreadable).isdisjoint(kernel)
    diag.close()


def _parent_is_kthreadd(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[1] == "2"
    except OSError:
        return False


def test_all_network_namespaces_are_found_each_once(hosts: Pair[Namespace]) -> None:
    with sleeper("say('x'); time.sleep(60)", preexec_fn=program_in(hosts.client)):
        found, _ = network_namespaces()
    try:
        assert found[0].fd is None, "our own needs no privilege"
        inodes = [os.fstat(each.fd).st_ino for each in found if each.fd is not None]
        assert hosts.client.fd is not None
        assert os.fstat(hosts.client.fd).st_ino in inodes
        assert len(set(inodes)) == len(inodes)
    finally:
        for each in found:
            each.close()


def test_the_whole_host_is_seen_from_the_first_pid_namespace_only() -> None:
    assert shows_all_processes() is (Path("/proc/self/ns/pid").stat().st_ino == 0xEFFFFFFC)


def test_a_process_that_ends_while_it_is_described_has_no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:

        def ends(pid: int) -> list[int]:
            process.kill()
            process.wait()
            return children_of(pid)

        monkeypatch.setattr(descriptor_tables, "children_of", ends)
        assert Processes().sample(process.pid, None, calls_readable=True).reaps == ()
