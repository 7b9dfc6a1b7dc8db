"""A namespace lives as long as its descriptor, and a thread that calls into it stays where it is."""

import errno
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab import errors
from lab.kernel.capture.ring import Capture
from lab.kernel.place import link, netns
from lab.kernel.place.netns import Namespace, may_make_namespaces, program_in
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.spec import CaptureMode, Pair, Role
from tests.kernel.hosts import PORT, cabled, descriptors, links
from tests.waiting import LIMIT_S

ROOT = Path(__file__).parents[3]


def number() -> str:
    return os.readlink("/proc/thread-self/ns/net")


def test_a_call_happens_inside_and_the_caller_stays_outside() -> None:
    outside = number()
    with Namespace.create() as made:
        inside = made.call(number)
        assert inside != outside
        assert made.call(number) == inside, "it is still the same one"
    assert number() == outside


def test_here_is_where_the_caller_is_and_needs_no_thread() -> None:
    here = Namespace.here()
    assert here.fd is None
    assert here.call(number) == number()
    assert here.call(threading.get_ident) == threading.get_ident()
    here.close()


def test_a_new_namespace_is_empty_but_for_its_own_loopback() -> None:
    with Namespace.create() as made:
        assert made.call(links) == {"lo"}


def test_an_answer_that_found_no_room_is_told_in_one_line() -> None:
    def fails() -> None:
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    with Namespace.create() as made, pytest.raises(errors.TestbedError, match="no room for its answer"):
        made.call(fails)


def test_an_answer_that_was_lost_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netns, "ANSWER_S", 1)
    forever = threading.Event()
    with Namespace.create() as made, pytest.raises(errors.TestbedError, match="did not answer within"):
        made.call(forever.wait)
    forever.set()


def test_an_error_inside_comes_out_as_it_was() -> None:
    def fails() -> None:
        raise ZeroDivisionError("inside")

    with Namespace.create() as made, pytest.raises(ZeroDivisionError, match="inside"):
        made.call(fails)


def test_threads_that_call_at_once_each_get_their_own_namespace() -> None:
    outside = number()
    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        made = [stack.enter_context(Namespace.create()) for _ in range(8)]
        expected = [each.call(number) for each in made]
        for _ in range(50):
            assert list(pool.map(lambda each: (each.call(number), number()), made)) == [
                (inside, outside) for inside in expected
            ]
    assert len(set(expected)) == 8


def test_what_cannot_be_entered_leaves_the_caller_where_it_is() -> None:
    before = number(), threading.active_count()
    with Namespace(os.open("/dev/null", os.O_RDONLY)) as none:
        assert not none.is_one
        with pytest.raises(errors.EnvironmentLacksError, match=r"cannot enter a network namespace \(Invalid argument"):
            none.call(number)
    assert (number(), threading.active_count()) == before


def test_pyroute2_enters_it_and_no_more_of_pyroute2_is_imported_than_that_takes() -> None:
    code = (
        "import sys; from lab.kernel.place.netns import Namespace\n"
        "with Namespace.create() as made: before = set(sys.modules); made.call(int)\n"
        "print(*sorted(each for each in set(sys.modules) - before if each.startswith('pyroute2')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "pyroute2.netns" in done.stdout.split()
    assert len(done.stdout.split()) < 10


def test_a_call_passes_arguments_on() -> None:
    with Namespace.create() as made:
        assert made.call(int, "ff", base=16) == 255


def test_the_namespace_of_a_process_is_the_one_that_it_is_in() -> None:
    with Namespace.create() as made:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", "import signal; print(flush=True); signal.pause()"],
            stdout=subprocess.PIPE,
            preexec_fn=program_in(made),  # noqa: PLW1509
        )
        assert process.stdout is not None
        with process, process.stdout as said:
            said.readline()
            with Namespace.of(process.pid) as found:
                assert found.call(number) == made.call(number) != number()
            process.kill()


def test_a_process_that_has_ended_has_no_namespace() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait(LIMIT_S)
    with pytest.raises(errors.TestbedError, match=f"process {process.pid} has ended"):
        Namespace.of(process.pid)


def test_a_zombie_has_no_namespace_either() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(errors.TestbedError, match="has ended"):
        Namespace.of(process.pid)
    process.wait(LIMIT_S)


def test_root_may_make_namespaces_and_asking_leaves_nothing() -> None:
    before = number(), descriptors()
    assert may_make_namespaces() is None
    assert (number(), descriptors()) == before


def test_a_program_in_a_namespace_dies_with_the_thread_that_started_it() -> None:
    """After a kill -9 of the lab, the kernel sends SIGKILL to its program."""
    inner = "import signal; print(flush=True); signal.pause()"
    outer = (
        "import os, subprocess, sys, signal\n"
        "from lab.kernel.place.netns import Namespace, program_in\n"
        f"p = subprocess.Popen([sys.executable, '-S', '-c', {inner!r}], stdout=subprocess.PIPE,\n"
        "                     preexec_fn=program_in(Namespace.create()))\n"
        "p.stdout.readline()\n"
        "print(p.pid, flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, cwd=ROOT) as lab:
        assert lab.stdout is not None
        program = os.pidfd_open(int(lab.stdout.readline()))
        lab.send_signal(signal.SIGKILL)
        try:
            import select

            assert select.select([program], [], [], 10)[0], "the program lives on"
        finally:
            os.close(program)


def test_fifty_pairs_with_all_their_instruments_leave_no_descriptor_and_no_thread() -> None:
    def once() -> None:
        with cabled() as hosts:
            capture = Capture(hosts.client, link.INTERFACE, CaptureMode.PROOF, PORT, 128)
            diags = Pair(*(SocketDiag(hosts[role]) for role in Role))
            assert capture.drain() == []
            capture.close()
            for diag in diags:
                diag.close()

    once()
    before = descriptors(), threading.active_count()
    for _ in range(50):
        once()
    assert (descriptors(), threading.active_count()) == before
