"""Snapshots of live programs: which processes are in one, what makes a thread's sample void, what is read again."""

import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from lab.evidence import ProcessSample, ResourceKind, Snapshot, ThreadSample
from lab.kernel.place.netns import Namespace, program_in
from lab.kernel.processes.threads import Threads
from lab.kernel.procfs import children_of, descendants
from lab.kernel.snapshots import IT_RAN, SnapshotTaker, Target
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.spec import Pair, Role
from tests.kernel.hosts import ADDRESSES
from tests.kernel.sleepers import Sleeper, looked_at, sleeper
from tests.waiting import at_rest, seen, until

SERVER = """
l = socket.create_server(("{host}", 0)); say(l.getsockname()[1]); s, _ = l.accept()
"""
CLIENT = """
c = socket.create_connection(("{host}", {port})); say("%s:%d" % c.getsockname()[:2])
"""
FROZEN_SERVER, FROZEN_CLIENT = "while True: s.sendall(s.recv(1024))", "c.sendall(bytes(1 << 28))"
BOTH_ASLEEP = Pair("sendto", "sendto")

Played = tuple[SnapshotTaker, Pair[Sleeper]]


@contextmanager
def played(client: str, server: str, hosts: Pair[Namespace] | None = None) -> Iterator[Played]:
    """A client and a server that go on as told, in this namespace or in two, and a taker for their connection."""
    namespaces = hosts or Pair(Namespace.here(), Namespace.here())
    inside: Pair[Callable[[], object] | None] = Pair(None, None)
    if hosts is not None:
        inside = Pair(program_in(hosts.client), program_in(hosts.server))
    host = ADDRESSES[4].server if hosts else "127.0.0.1"
    with sleeper(SERVER.format(host=host) + server, inside.server) as serving:
        remote = f"{host}:{serving.words[0]}"
        with sleeper(CLIENT.format(host=host, port=serving.words[0]) + client, inside.client) as asking:
            local = asking.words[0]
            diags = Pair(*(SocketDiag(namespaces[role]) for role in Role))
            pair = Pair(
                Target(Role.CLIENT, diags.client, local, remote),
                Target(Role.SERVER, diags.server, remote, local),
            )
            taker = SnapshotTaker([pair])
            try:
                yield taker, Pair(asking, serving)
            finally:
                taker.close()
                for diag in diags:
                    diag.close()


def settled(taker: SnapshotTaker, programs: Pair[Sleeper], calls: Pair[str], still_s: float = 0.06) -> Snapshot:
    """The first snapshot in which both sleep in these calls, and nobody has run and no byte has moved for so long."""

    def asleep(snapshot: Snapshot) -> bool:
        inside = {(t.pid, t.syscall) for t in snapshot.threads_after}
        return all((programs[role].pid, calls[role]) in inside for role in Role)

    return at_rest(taker.take, still_s, key=lambda shot: (lines(shot.threads_after), queues(shot)), ready=asleep)


def lines(threads: tuple[ThreadSample, ...]) -> list[object]:
    return [(t.tid, t.state, t.syscall, t.switches) for t in threads]


def queues(snapshot: Snapshot) -> list[object]:
    return [socket and (socket.wqueue, socket.rqueue) for socket in snapshot.sockets]


def processes(snapshot: Snapshot) -> tuple[ProcessSample, ...]:
    assert snapshot.processes is not None
    return snapshot.processes


def test_a_frozen_pair_is_seen_whole() -> None:
    with played(FROZEN_CLIENT, FROZEN_SERVER) as (taker, programs):
        snapshot = settled(taker, programs, BOTH_ASLEEP)
        client, server = snapshot.sockets
    assert client is not None
    assert server is not None
    assert [(t.pid, t.role) for t in sorted(snapshot.threads_after, key=lambda t: t.role or "")] == [
        (programs.client.pid, Role.CLIENT), (programs.server.pid, Role.SERVER),
    ]  # fmt: skip
    assert {t.socket_inode for t in snapshot.threads_after} == {client.inode, server.inode}
    assert all(t.wait and not t.wait.unknown for t in snapshot.threads_before + snapshot.threads_after)
    assert {p.pid for p in processes(snapshot) if p.in_flight == 0} == {programs.client.pid, programs.server.pid}
    assert (client.send_timeout_ns, client.receive_timeout_ns, client.user_timeout_ms) == (0, 0, 0)


def test_two_namespaces_are_in_one_snapshot(hosts: Pair[Namespace]) -> None:
    with played(FROZEN_CLIENT, FROZEN_SERVER, hosts) as (taker, programs):
        snapshot = settled(taker, programs, BOTH_ASLEEP)
    assert {t.pid for t in snapshot.threads_after} == {programs.client.pid, programs.server.pid}
    assert all(snapshot.sockets)


def test_the_snapshots_of_two_pairs_differ_in_their_sockets_only() -> None:
    code = """
ends = [*connection(), *connection()]; say(*("%s:%d" % each.getsockname() for each in ends)); time.sleep(60)
"""
    with sleeper(code) as program:
        program.asleep("clock_nanosleep")
        ends = [program.words[:2], program.words[2:]]
        pairs = [
            Pair(Target(Role.CLIENT, program.diag, one, other), Target(Role.SERVER, program.diag, other, one))
            for one, other in ends
        ]
        taker = SnapshotTaker(pairs)
        one, other = taker.take_all()
        taker.close()
    assert [[socket and socket.local for socket in each.sockets] for each in (one, other)] == ends
    assert replace(one, sockets=other.sockets) == other
    assert {t.pid for t in one.threads_after} == {program.pid}


def test_the_programs_of_a_run_are_found_below_their_hosts_only() -> None:
    with played(FROZEN_CLIENT, "os.fork()\n" + FROZEN_SERVER) as (taker, programs):
        settled(taker, programs, BOTH_ASLEEP)
        run = SnapshotTaker(taker.pairs, roots={Role.SERVER: programs.server.pid})
        snapshot = run.take()
        run.close()
    assert {t.role for t in snapshot.threads_after} == {Role.SERVER}
    assert programs.server.pid not in {t.pid for t in snapshot.threads_after}, "the host itself is left out"


def test_a_thread_that_runs_meanwhile_is_said_to_have_run() -> None:
    with played("while True: time.sleep(0)", "s.recv(1)") as (taker, programs):
        programs.server.asleep("recvfrom")
        for _ in range(50):
            snapshot = taker.take()
            (sample,) = [t for t in snapshot.threads_after if t.pid == programs.client.pid]
            assert sample.wait is not None
            assert sample.wait.unknown in (IT_RAN, "it runs") or sample.syscall != "running"
            assert (sample.wait.unknown is not None) or sample.switches in [t.switches for t in snapshot.threads_before]


def test_an_inherited_socket_makes_the_parent_a_holder() -> None:
    server = "pid = os.fork()\nif pid: time.sleep(60)\n" + FROZEN_SERVER
    with played(FROZEN_CLIENT, server) as (taker, programs):
        snapshot = settled(taker, programs, Pair("sendto", "clock_nanosleep"))
        (sleeping,) = [t for t in snapshot.threads_after if t.pid == programs.server.pid]
        assert sleeping.wait is not None
        assert sleeping.wait.timed
        assert len({t.pid for t in snapshot.threads_after}) == 3
        kill_children(programs.server.pid)


def test_a_process_that_writes_to_a_holder_s_pipe_is_in_the_snapshot_though_it_holds_no_socket() -> None:
    waiting = """
r, w = os.pipe()
if os.fork() == 0:
    s.close(); l.close(); os.close(r); time.sleep(60); os._exit(0)
os.close(w); os.read(r, 1)
"""
    with played("c.recv(1)", waiting) as (taker, programs):
        snapshot = settled(taker, programs, Pair("recvfrom", "read"))
        (other,) = {t.pid for t in snapshot.threads_after} - {programs.client.pid, programs.server.pid}
        (sample,) = [t for t in snapshot.threads_after if t.pid == other]
        assert sample.syscall == "clock_nanosleep"
        assert any(p.pid == other and p.parent == programs.server.pid for p in processes(snapshot))
        kill_children(programs.server.pid)


def test_a_process_with_the_other_end_of_a_holder_s_unix_socket_is_in_the_snapshot_and_its_own_wakers_too() -> None:
    waiting = """
a, b = socket.socketpair()
if os.fork() == 0:
    s.close(); l.close(); a.close()
    if os.fork() == 0:
        b.close(); time.sleep(60); os._exit(0)
    os.wait(); os._exit(0)
b.close(); say(inode(a)); a.recv(1)
"""
    with played("c.recv(1)", waiting) as (taker, programs):
        snapshot = settled(taker, programs, Pair("recvfrom", "recvfrom"))
        calls = {t.syscall for t in snapshot.threads_after}
        assert calls == {"recvfrom", "wait4", "clock_nanosleep"}
        (unix,) = [
            r
            for t in snapshot.threads_after
            if t.wait
            for i in t.wait.items
            for r in [i.resource]
            if r.kind is ResourceKind.UNIX
        ]
        assert snapshot.peers[unix].kind is ResourceKind.UNIX
        assert any(snapshot.peers[unix] in (p.resources or ()) for p in processes(snapshot))
        kill_children(programs.server.pid)


def test_another_connection_that_a_holder_waits_for_comes_with_both_its_ends() -> None:
    proxy = "up, down = connection(); select.select([], [], [s], 0); say('x'); down.recv(1)"
    with played("c.recv(1)", proxy) as (taker, programs):
        snapshot = settled(taker, programs, Pair("recvfrom", "recvfrom"))
        one, other = snapshot.others
    assert (one.local, one.remote) == (other.remote, other.local)
    assert one.role is None
    assert one.send_timeout_ns == 0


def test_a_descriptor_in_flight_anywhere_brings_its_process_in() -> None:
    code = """
a, b = socket.socketpair()
socket.send_fds(a, [b"x"], [c.fileno()]); c.close(); time.sleep(60)
"""
    with played(code, "s.recv(1)") as (taker, programs):
        programs.client.asleep("clock_nanosleep")
        programs.server.asleep("recvfrom")
        snapshot = taker.take()
        assert [p.in_flight for p in processes(snapshot) if p.pid == programs.client.pid] == [1]
        assert {t.pid for t in snapshot.threads_after} == {programs.server.pid}, "nobody holds the client's end"


def test_a_change_of_an_epoll_set_by_another_thread_is_seen() -> None:
    code = """
p = select.epoll(); r, w = os.pipe(); p.register(c, select.EPOLLIN)
def change():
    signal.sigwait({signal.SIGUSR1}); p.register(r, select.EPOLLIN); signal.sigwait({signal.SIGUSR2})
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGUSR2})
threading.Thread(target=change, daemon=True).start(); p.poll()
"""
    with played(code, "s.recv(1)") as (taker, programs):
        settled(taker, programs, Pair("epoll_wait", "recvfrom"))
        assert kinds(taker.take(), "epoll_wait") == {"socket"}
        os.kill(programs.client.pid, signal.SIGUSR1)
        seen(lambda: kinds(taker.take(), "epoll_wait"), lambda now: now == {"socket", "pipe"})


def kinds(snapshot: Snapshot, call: str) -> set[str]:
    waits = [t.wait for t in snapshot.threads_after if t.wait and t.syscall == call]
    return {str(item.resource.kind) for wait in waits for item in wait.items}


def test_a_stopped_holder_is_suspended_and_again_not() -> None:
    with played(FROZEN_CLIENT, FROZEN_SERVER) as (taker, programs):
        settled(taker, programs, BOTH_ASLEEP)
        os.kill(programs.client.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, programs.client.pid, os.WSTOPPED)
        assert {t.pid: t.suspended for t in taker.take().threads_before} == {
            programs.client.pid: "stopped", programs.server.pid: None,
        }  # fmt: skip
        os.kill(programs.client.pid, signal.SIGCONT)
        snapshot = settled(taker, programs, BOTH_ASLEEP)
        assert {t.suspended for t in snapshot.threads_after} == {None}


def test_a_holder_that_comes_later_is_found_by_a_fresh_search() -> None:
    forking = "signal.signal(signal.SIGUSR1, lambda *_: os.fork())\n"
    with played(FROZEN_CLIENT, forking + FROZEN_SERVER) as (taker, programs):
        settled(taker, programs, BOTH_ASLEEP)
        os.kill(programs.server.pid, signal.SIGUSR1)
        seen(lambda: {t.pid for t in taker.take_all(fresh=True)[0].threads_after}, lambda now: len(now) == 3)
        kill_children(programs.server.pid)


def test_a_process_that_is_found_late_is_no_premise_and_the_search_is_made_again() -> None:
    """A holder that forks after the search has passed is asleep by the time that it is read."""
    with played(FROZEN_CLIENT, FROZEN_SERVER) as (taker, programs):
        settled(taker, programs, BOTH_ASLEEP)
        searches = 0
        other = SnapshotTaker(taker.pairs)
        search = other._search

        def forking(fresh: bool) -> dict[int, Role | None]:
            nonlocal searches
            searches += 1
            return {pid: role for pid, role in search(fresh).items() if searches > 1 or pid != programs.server.pid}

        other._search = forking  # type: ignore[method-assign]
        snapshot = other.take()
        other.close()
    assert searches == 3
    assert {t.pid for t in snapshot.threads_before} == {programs.client.pid, programs.server.pid}


FORKING_SERVER = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def fork(*_):
    if os.fork(): return
    signal.signal(signal.SIGCHLD, lambda *_: None); signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    if os.fork() == 0: time.sleep(3600)
    threading.Thread(target=time.sleep, args=(3600,)).start()
    a, b = socket.socketpair(); p = select.epoll(); p.register(a, select.EPOLLIN); os.eventfd(0); p.poll()
signal.signal(signal.SIGUSR1, fork)
"""
"""On SIGUSR1 it forks a holder with a child, two threads and a handler of SIGCHLD."""


def calls_of(pid: int) -> set[str | None]:
    with closing(Threads()) as threads:
        return {thread.line.syscall for thread in looked_at(threads, pid)}


class Doomed:
    """A process that is killed, and gone, just before /proc is asked of it for the nth time."""

    def __init__(self, pid: int, nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pid, self.left = pid, nth
        self.family = descendants(pid)
        self.folders = tuple(f"/proc/{each}/" for each in (pid, *os.listdir(f"/proc/{pid}/task")))
        for module, name in ((os, "listdir"), (os, "open"), (os, "readlink"), (io, "open")):
            monkeypatch.setattr(module, name, self._asked(getattr(module, name)))

    def _asked(self, call: Callable[..., object]) -> Callable[..., object]:
        def ask(path: object, *words: object, **more: object) -> object:
            self.left -= str(path).startswith(self.folders)
            if self.left == 0:
                self.end()
            return call(path, *words, **more)

        return ask

    def end(self) -> None:
        self.left = -1
        for each in self.family:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{self.pid}").exists())


def test_a_process_that_ends_in_the_midst_of_a_snapshot_breaks_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """At every seventh of the moments at which it is looked at: its end is as good as any other change."""
    with played(FROZEN_CLIENT, FORKING_SERVER + FROZEN_SERVER) as (taker, programs):
        settled(taker, programs, BOTH_ASLEEP)
        nth, was_reached = 1, True
        while was_reached:
            os.kill(programs.server.pid, signal.SIGUSR1)
            (pid,) = until(lambda: children_of(programs.server.pid))
            seen(lambda pid=pid: calls_of(pid), lambda calls: calls == {"clock_nanosleep", "epoll_wait"})  # type: ignore[misc]
            with monkeypatch.context() as patched:
                doomed = Doomed(pid, nth, patched)
                snapshot = taker.take_all(fresh=True)[0]
                was_reached = doomed.left < 0
            if was_reached:
                assert pid not in {thread.pid for thread in snapshot.threads_after}
            else:
                assert len([thread for thread in snapshot.threads_after if thread.pid == pid]) == 2
                doomed.end()
            nth += 7
    assert nth > 70, "it is asked about a hundred times"


def test_taking_snapshots_changes_nothing() -> None:
    with played(FROZEN_CLIENT, FROZEN_SERVER) as (taker, programs):
        first = settled(taker, programs, BOTH_ASLEEP, still_s=1.0)
        for _ in range(30):
            taker.take_all(fresh=True)[0]
        snapshot = taker.take()
        assert lines(snapshot.threads_after) == lines(first.threads_after)
        assert queues(snapshot) == queues(first)


def kill_children(pid: int) -> None:
    for child in descendants(pid)[1:]:
        os.kill(child, signal.SIGKILL)
