"""Namespaces come and go and are open once each; containers are followed, and processes are watched until they end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from lab import errors
from lab.kernel.place.netns import Namespace
from lab.kernel.procfs import newest, start_of
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.watching.namespaces import (
    Containers,
    Namespaces,
    TargetNamespaces,
    TargetProcesses,
    Targets,
    is_over,
    named,
    sockets_of,
    start_time,
)
from tests.kernel.hosts import descriptors
from tests.waiting import until
from tests.watching.watched import connected, loopback, program


@pytest.fixture
def namespaces() -> Iterator[Namespaces]:
    with closing(Namespaces()) as opened:
        yield opened


def silent(_: str) -> None:
    pass


def path(namespace: Namespace) -> str:
    return f"/proc/self/fd/{namespace.fd}"


def inside(namespaces: Namespaces, pid: int) -> SocketDiag | None:
    """Whom to ask in the namespace of a process, if it is open."""
    identity = Path(f"/proc/{pid}/ns/net").stat().st_ino
    found = [each.diag for each in namespaces if each.namespace.fd and os.fstat(each.namespace.fd).st_ino == identity]
    return found[0] if found else None


def test_a_namespace_is_open_while_a_process_is_in_it(namespaces: Namespaces) -> None:
    namespaces.find()
    before = set(namespaces.diags)
    with loopback() as namespace, program(namespace) as process:
        assert namespaces.find(), "one came"
        diag = inside(namespaces, process.pid)
        assert diag in set(namespaces.diags) - before
        with program(namespace):  # so that there is a new thread, and no new namespace
            namespaces.find()
            assert inside(namespaces, process.pid) is diag, "it is open once"
    with program(Namespace.here()):
        namespaces.find()
        assert diag not in namespaces.diags


def test_it_is_open_once_however_often_it_is_named(namespaces: Namespaces) -> None:
    with loopback() as namespace:
        first = namespaces.keep(named(path(namespace)))
        before = descriptors()
        assert namespaces.keep(named(path(namespace))) is first
        assert namespaces.open(Namespace(os.dup(namespace.fd or 0))) is first
        assert descriptors() == before
        assert list(namespaces) == [first]


def test_one_that_was_named_stays_open_though_no_process_is_in_it(namespaces: Namespaces) -> None:
    with loopback() as namespace:
        kept = namespaces.keep(named(path(namespace)))
        namespaces.find()
        assert kept in list(namespaces)
        assert kept.counters.opened() == 0, "it can be asked"


def test_all_descriptors_are_closed_in_the_end() -> None:
    before = descriptors()
    with closing(Namespaces()) as opened:
        opened.find()
        assert descriptors() > before
    assert descriptors() == before


def test_nobody_walks_through_proc_again_before_a_thread_was_made(namespaces: Namespaces) -> None:
    """A walk would count the unseen processes anew."""

    def is_left_out() -> bool:
        namespaces.find()
        made, namespaces.unseen = newest(), -1
        namespaces.find()
        return newest() == made and namespaces.unseen == -1

    until(is_left_out)
    with program(Namespace.here()):
        namespaces.find()
    assert namespaces.unseen >= 0


@pytest.mark.parametrize("text", ["nowhere", "/nowhere/at/all", "/etc/passwd", "/etc/passwd/net", "/proc/self/ns/mnt"])
def test_what_is_no_network_namespace_is_no_target(text: str) -> None:
    before = descriptors()
    with pytest.raises(errors.BadInputError, match=f"no network namespace '{text}'"):
        named(text)
    assert descriptors() == before


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.BadInputError):
        named(str(tmp_path / "pipe"))


class Engine:
    """Knows which containers run."""

    def __init__(self, **pids: int) -> None:
        self.pids, self.asked = pids, 0

    def find(self) -> Mapping[str, int]:
        self.asked += 1
        return self.pids

    @property
    def targets(self) -> Targets:
        return Targets(containers=Containers(dict(self.pids), self.find))


def test_a_container_is_followed_into_the_namespace_that_it_is_restarted_in(namespaces: Namespaces) -> None:
    reported: list[str] = []
    with loopback() as first, loopback() as second, program(second) as restarted:
        with program(first) as main:
            engine = Engine(one=main.pid)
            chosen = TargetNamespaces(engine.targets, namespaces, reported.append)
            assert chosen.diags == {inside(namespaces, main.pid)}
            assert not chosen.follow(came=False)
            assert engine.asked == 0, "nothing ended, and nothing came"
        engine.pids = {}
        assert chosen.follow(came=False)
        assert chosen.diags == frozenset()
        assert reported == ["the container one has ended: watched again when it runs again"]
        engine.pids = {"one": restarted.pid}
        assert chosen.follow(came=False), "the engine is asked on, for a while"
        assert chosen.diags == {inside(namespaces, restarted.pid)}


def test_a_namespace_that_came_may_be_another_container_s(namespaces: Namespaces) -> None:
    with loopback() as first, program(first) as one:
        engine = Engine(one=one.pid)
        chosen = TargetNamespaces(engine.targets, namespaces, silent)
        with loopback() as second, program(second) as two:
            engine.pids = {"one": one.pid, "two": two.pid}
            before = chosen.diags
            assert chosen.follow(came=True)
            assert chosen.diags == before | {inside(namespaces, two.pid)}
            assert not chosen.follow(came=True), "they are the same again"


def test_without_containers_no_engine_is_asked(namespaces: Namespaces) -> None:
    with loopback() as namespace:
        chosen = TargetNamespaces(Targets(namespaces=(path(namespace),)), namespaces, silent)
        assert not chosen.follow(came=True)
        assert chosen.diags == set(namespaces.diags)


def test_the_sockets_of_a_process_are_the_target_s() -> None:
    processes = TargetProcesses(Targets(pids=(os.getpid(),)), silent)
    with loopback() as namespace:
        before = processes.sockets()
        with connected(namespace) as ends:
            assert processes.sockets() - before == {os.fstat(end.fileno()).st_ino for end in ends}
        assert processes.sockets() == before


@pytest.mark.parametrize("is_waited_for", [True, False])
def test_the_last_process_ends_the_watch_unless_there_is_another_target(is_waited_for: bool) -> None:
    with program(Namespace.here()) as first, program(Namespace.here()) as last:
        reported: list[str] = []
        alone = TargetProcesses(Targets(pids=(first.pid, last.pid)), reported.append)
        beside = TargetProcesses(Targets(pids=(last.pid,), ports=(80,)), reported.append)
        _end(first, is_waited_for=is_waited_for)
        assert alone.sockets() == frozenset()
        assert reported == [f"process {first.pid} has ended"]
        _end(last, is_waited_for=is_waited_for)
        with pytest.raises(errors.TestbedError, match=f"process {last.pid} has ended: nothing is left to watch"):
            alone.sockets()
        assert beside.sockets() == frozenset()
        assert reported[1:] == [f"process {last.pid} has ended"]


def _end(process: subprocess.Popen[str], *, is_waited_for: bool) -> None:
    process.send_signal(signal.SIGKILL)
    if is_waited_for:
        process.wait()
    else:
        until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")


def test_a_process_whose_first_thread_alone_has_ended_runs_on() -> None:
    lives_on = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(1e6,)).start()
ctypes.CDLL(None).syscall(60, 0)
"""
    with program(Namespace.here(), sys.executable, "-c", lives_on) as process:
        start = start_time(process.pid)
        until(lambda: "(zombie)" in Path(f"/proc/{process.pid}/status").read_text())
        assert not is_over(process.pid, start)
        assert is_over(process.pid, -1), "another one had this number"
        assert not is_over(process.pid, None), "/proc hides it"


def test_a_process_that_there_is_not_is_no_target() -> None:
    for pid in (4194304, 1 << 70):
        with pytest.raises(errors.BadInputError, match=f"no process {pid}"):
            start_time(pid)
    with pytest.raises(errors.EnvironmentLacksError, match="descriptors of process 4194304 cannot be read"):
        list(sockets_of(4194304))
    assert start_time(os.getpid()) == start_of(os.getpid())


def test_a_process_that_ends_while_it_is_looked_for_is_no_target(monkeypatch: pytest.MonkeyPatch) -> None:
    with program(Namespace.here()) as process:

        def too_late(pid: int) -> int | None:
            _end(process, is_waited_for=True)
            return start_of(pid)

        monkeypatch.setattr("lab.watching.namespaces.start_of", too_late)
        with pytest.raises(errors.BadInputError, match=f"no process {process.pid}"):
            start_time(process.pid)


@pytest.mark.parametrize(
    ("targets", "everything"),
    [
        (Targets(), True),
        (Targets(pids=(1,)), False),
        (Targets(ports=(80,)), False),
        (Targets(namespaces=("one",)), False),
        (Targets(containers=Containers({}, dict)), False),
    ],
)
def test_nothing_that_is_chosen_means_everything(targets: Targets, everything: bool) -> None:
    assert targets.everything is everything
    assert targets.beside_processes is not (everything or bool(targets.pids))
