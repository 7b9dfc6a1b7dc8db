"""One look at live programs: who is in the cut, what makes a thread's sample void, and what is read anew."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.evidence import ResourceKind, ThreadSample
from lab.kernel.place.netns import Namespace, program_in
from lab.kernel.procfs import descendants
from lab.kernel.snapshots import IT_RAN, Cut, Scene, Target
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.spec import Pair, Role
from tests.kernel.hosts import ADDRESSES
from tests.kernel.sleepers import LIMIT_S, Sleeper, sleeper

SERVER = """
l = socket.create_server(("{host}", 0)); say(l.getsockname()[1]); s, _ = l.accept()
"""
CLIENT = """
c = socket.create_connection(("{host}", {port})); say("%s:%d" % c.getsockname()[:2])
"""
FROZEN_SERVER, FROZEN_CLIENT = "while True: s.sendall(s.recv(1024))", "c.sendall(bytes(1 << 28))"
BOTH_ASLEEP = Pair("sendto", "sendto")


@contextmanager
def played(client: str, server: str, hosts: Pair[Namespace] | None = None) -> Iterator[tuple[Scene, Pair[Sleeper]]]:
    """A client and a server that go on as told, in this namespace or in two, and the scene of their connection."""
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
            targets = (
                Target(Role.CLIENT, diags.client, local, remote),
                Target(Role.SERVER, diags.server, remote, local),
            )
            scene = Scene(targets)
            try:
                yield scene, Pair(asking, serving)
            finally:
                scene.close()
                for diag in diags:
                    diag.close()


def settled(scene: Scene, programs: Pair[Sleeper], calls: Pair[str], still_s: float = 0.06) -> Cut:
    """The first look in which both sleep in these calls, and nobody has run and no byte has moved for so long."""
    end = time.monotonic() + LIMIT_S
    last: object = None
    since = time.monotonic()
    while time.monotonic() < end:
        cut = scene.look()
        now = (lines(cut.threads_after), [s and (s.wqueue, s.rqueue) for s in cut.sockets])
        asleep = all(
            any(t.pid == programs[role].pid and t.syscall == calls[role] for t in cut.threads_after) for role in Role
        )
        if now != last or not asleep:
            last, since = now, time.monotonic()
        elif time.monotonic() - since >= still_s:
            return cut
        time.sleep(0.01)
    raise AssertionError("they do not come to rest")


def lines(threads: tuple[ThreadSample, ...]) -> list[object]:
    return [(t.tid, t.state, t.syscall, t.switches) for t in threads]


def test_a_frozen_pair_is_seen_whole() -> None:
    with played(FROZEN_CLIENT, FROZEN_SERVER) as (scene, programs):
        cut = settled(scene, programs, BOTH_ASLEEP)
        client, server = cut.sockets
    assert client is not None
    assert server is not None
    assert [(t.pid, t.role) for t in sorted(cut.threads_after, key=lambda t: t.role or "")] == [
        (programs.client.pid, Role.CLIENT), (programs.server.pid, Role.SERVER),
    ]  # fmt: skip
    assert {t.socket_inode for t in cut.threads_after} == {client.inode, server.inode}
    assert all(t.wait and not t.wait.unknown for t in cut.threads_before + cut.threads_after)
    assert {p.pid for p in cut.processes if p.in_flight == 0} == {programs.client.pid, programs.server.pid}
    assert (client.send_timeout_ns, client.receive_timeout_ns, client.user_timeout_ms) == (0, 0, 0)
    assert cut.everywhere


def test_two_namespaces_are_one_scene(hosts: Pair[Namespace]) -> None:
    with played(FROZEN_CLIENT, FROZEN_SERVER, hosts) as (scene, programs):
        cut = settled(scene, programs, BOTH_ASLEEP)
    assert {t.pid for t in cut.threads_after} == {programs.client.pid, programs.server.pid}
    assert all(cut.sockets)


def test_the_programs_of_a_run_are_found_below_their_hosts_only() -> None:
    with played(FROZEN_CLIENT, "os.fork()\n" + FROZEN_SERVER) as (scene, programs):
        settled(scene, programs, BOTH_ASLEEP)
        run = Scene(scene.targets, roots={Role.SERVER: programs.server.pid})
        cut = run.look()
        run.close()
    assert not cut.everywhere
    assert {t.role for t in cut.threads_after} == {Role.SERVER}
    assert programs.server.pid not in {t.pid for t in cut.threads_after}, "the host itself is left out"


def test_a_thread_that_runs_meanwhile_is_said_to_have_run() -> None:
    with played("while True: time.sleep(0)", "s.recv(1)") as (scene, programs):
        programs.server.asleep("recvfrom")
        for _ in range(50):
            cut = scene.look()
            (sample,) = [t for t in cut.threads_after if t.pid == programs.client.pid]
            assert sample.wait is not None
            assert sample.wait.unknown in (IT_RAN, "it runs") or sample.syscall != "running"
            assert (sample.wait.unknown is not None) or sample.switches in [t.switches for t in cut.threads_before]


def test_an_inherited_socket_makes_the_parent_a_holder() -> None:
    server = "pid = os.fork()\nif pid: time.sleep(60)\n" + FROZEN_SERVER
    with played(FROZEN_CLIENT, server) as (scene, programs):
        cut = settled(scene, programs, Pair("sendto", "clock_nanosleep"))
        (sleeping,) = [t for t in cut.threads_after if t.pid == programs.server.pid]
        assert sleeping.wait is not None
        assert sleeping.wait.timed
        assert len({t.pid for t in cut.threads_after}) == 3
        kill_children(programs.server.pid)


def test_who_writes_to_a_holder_s_pipe_is_in_the_scene_though_he_holds_no_socket() -> None:
    waiting = """
r, w = os.pipe()
if os.fork() == 0:
    s.close(); l.close(); os.close(r); time.sleep(60); os._exit(0)
os.close(w); os.read(r, 1)
"""
    with played("c.recv(1)", waiting) as (scene, programs):
        cut = settled(scene, programs, Pair("recvfrom", "read"))
        (other,) = {t.pid for t in cut.threads_after} - {programs.client.pid, programs.server.pid}
        (sample,) = [t for t in cut.threads_after if t.pid == other]
        assert sample.syscall == "clock_nanosleep"
        assert any(p.pid == other and p.parent == programs.server.pid for p in cut.processes)
        kill_children(programs.server.pid)


def test_who_has_the_other_end_of_a_holder_s_unix_socket_is_in_the_scene_and_his_own_wakers_too() -> None:
    waiting = """
a, b = socket.socketpair()
if os.fork() == 0:
    s.close(); l.close(); a.close()
    if os.fork() == 0:
        b.close(); time.sleep(60); os._exit(0)
    os.wait(); os._exit(0)
b.close(); say(inode(a)); a.recv(1)
"""
    with played("c.recv(1)", waiting) as (scene, programs):
        cut = settled(scene, programs, Pair("recvfrom", "recvfrom"))
        calls = {t.syscall for t in cut.threads_after}
        assert calls == {"recvfrom", "wait4", "clock_nanosleep"}
        (unix,) = [
            r
            for t in cut.threads_after
            if t.wait
            for i in t.wait.items
            for r in [i.resource]
            if r.kind is ResourceKind.UNIX
        ]
        assert cut.peers[unix].kind is ResourceKind.UNIX
        assert any(cut.peers[unix] in (p.resources or ()) for p in cut.processes)
        kill_children(programs.server.pid)


def test_another_connection_that_a_holder_waits_for_comes_with_both_its_ends() -> None:
    proxy = "up, down = connection(); select.select([], [], [s], 0); say('x'); down.recv(1)"
    with played("c.recv(1)", proxy) as (scene, programs):
        cut = settled(scene, programs, Pair("recvfrom", "recvfrom"))
        one, other = cut.others
    assert (one.local, one.remote) == (other.remote, other.local)
    assert one.role is None
    assert one.send_timeout_ns == 0


def test_a_descriptor_in_flight_anywhere_brings_its_process_in() -> None:
    code = """
a, b = socket.socketpair()
socket.send_fds(a, [b"x"], [c.fileno()]); c.close(); time.sleep(60)
"""
    with played(code, "s.recv(1)") as (scene, programs):
        programs.client.asleep("clock_nanosleep")
        programs.server.asleep("recvfrom")
        cut = scene.look()
        assert [p.in_flight for p in cut.processes if p.pid == programs.client.pid] == [1]
        assert {t.pid for t in cut.threads_after} == {programs.server.pid}, "nobody holds the client's end"


def test_a_change_of_an_epoll_set_by_another_thread_is_seen() -> None:
    code = """
p = select.epoll(); r, w = os.pipe(); p.register(c, select.EPOLLIN)
def change():
    signal.sigwait({signal.SIGUSR1}); p.register(r, select.EPOLLIN); signal.sigwait({signal.SIGUSR2})
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGUSR2})
threading.Thread(target=change, daemon=True).start(); p.poll()
"""
    with played(code, "s.recv(1)") as (scene, programs):
        settled(scene, programs, Pair("epoll_wait", "recvfrom"))
        assert kinds(scene.look(), "epoll_wait") == {"socket"}
        os.kill(programs.client.pid, signal.SIGUSR1)
        end = time.monotonic() + LIMIT_S
        while kinds(scene.look(), "epoll_wait") != {"socket", "pipe"}:
            assert time.monotonic() < end
            time.sleep(0.002)


def kinds(cut: Cut, call: str) -> set[str]:
    waits = [t.wait for t in cut.threads_after if t.wait and t.syscall == call]
    return {str(item.resource.kind) for wait in waits for item in wait.items}


def test_a_stopped_holder_is_suspended_and_again_not() -> None:
    with played(FROZEN_CLIENT, FROZEN_SERVER) as (scene, programs):
        settled(scene, programs, BOTH_ASLEEP)
        os.kill(programs.client.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, programs.client.pid, os.WSTOPPED)
        assert {t.pid: t.suspended for t in scene.look().threads_before} == {
            programs.client.pid: "stopped", programs.server.pid: None,
        }  # fmt: skip
        os.kill(programs.client.pid, signal.SIGCONT)
        cut = settled(scene, programs, BOTH_ASLEEP)
        assert {t.suspended for t in cut.threads_after} == {None}


def test_a_holder_that_comes_later_is_found_by_a_fresh_look() -> None:
    forking = "signal.signal(signal.SIGUSR1, lambda *_: os.fork())\n"
    with played(FROZEN_CLIENT, forking + FROZEN_SERVER) as (scene, programs):
        settled(scene, programs, BOTH_ASLEEP)
        os.kill(programs.server.pid, signal.SIGUSR1)
        end = time.monotonic() + LIMIT_S
        while len({t.pid for t in scene.look(fresh=True).threads_after}) != 3:
            assert time.monotonic() < end
            time.sleep(0.002)
        kill_children(programs.server.pid)


def test_who_is_found_late_is_no_premise_and_the_search_is_made_again() -> None:
    """A holder that forks after the search has passed is asleep by the time that it is read."""
    with played(FROZEN_CLIENT, FROZEN_SERVER) as (scene, programs):
        settled(scene, programs, BOTH_ASLEEP)
        searches = 0
        other = Scene(scene.targets)
        search = other._search

        def forking(fresh: bool) -> dict[int, Role | None]:
            nonlocal searches
            searches += 1
            return {pid: role for pid, role in search(fresh).items() if searches > 1 or pid != programs.server.pid}

        other._search = forking  # type: ignore[method-assign]
        cut = other.look()
        other.close()
    assert searches == 3
    assert {t.pid for t in cut.threads_before} == {programs.client.pid, programs.server.pid}


def test_looking_changes_nothing() -> None:
    with played(FROZEN_CLIENT, FROZEN_SERVER) as (scene, programs):
        first = settled(scene, programs, BOTH_ASLEEP, still_s=1.0)
        for _ in range(30):
            scene.look(fresh=True)
        cut = scene.look()
        assert lines(cut.threads_after) == lines(first.threads_after)
        assert [s and (s.wqueue, s.rqueue) for s in cut.sockets] == [s and (s.wqueue, s.rqueue) for s in first.sockets]


def kill_children(pid: int) -> None:
    for child in descendants(pid)[1:]:
        os.kill(child, signal.SIGKILL)
