"""The controller's side of the barrier, against real endpoints: what they say is taken in, nonsense is refused."""

import json
import os
import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from lab import errors
from lab.evidence import Progress
from lab.kernel.place.netns import Namespace
from lab.spec import Pair, Role
from lab.testbed import process
from lab.testbed.barrier import Program
from tests import waiting
from tests.waiting import LIMIT_S

HERE = Namespace.here()

JOB: dict[str, Any] = {
    "behaviour": "upper",
    "family": 4,
    "address": "127.0.0.1",
    "port": 0,
    "payload": 32,
    "send_size": 16,
    "recv_size": 42,
    "server_block": 1024,
    "answer": "upper",
}


@contextmanager
def pair() -> Iterator[Pair[Program]]:
    identity = secrets.token_hex(8)
    here = Pair(HERE, HERE)
    with process.endpoints(here, identity) as hosts, process.programs(here, identity, LIMIT_S, hosts) as programs:
        yield programs


def counted(program: Program) -> Progress:
    progress = program.progress()
    assert progress is not None
    return progress


def until(programs: Pair[Program], holds: Callable[[], object]) -> None:
    def read_on() -> object:
        for program in programs:
            program.read_messages()
        return holds()

    waiting.until(read_on)


def play(programs: Pair[Program], server: dict[str, object], client: dict[str, object]) -> None:
    programs.server.play(JOB | server)
    until(programs, lambda: programs.server.port)
    programs.client.play(JOB | {"behaviour": "write_then_read", "port": programs.server.port} | client)


def test_a_program_that_has_ended_is_not_waited_for() -> None:
    """One that was killed while it started, for example: the run does not wait 20 s for it."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        for _ in ("a zombie", "and nobody"):
            with pytest.raises(errors.TestbedError, match="client's program ended before it was at the barrier"):
                Program.meet(HERE, secrets.token_hex(8), Role.CLIENT, 10 * LIMIT_S, pid)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
    finally:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def test_what_two_real_programs_say_is_taken_in() -> None:
    with pair() as programs:
        assert [counted(program).stamp_ns for program in programs] == [0, 0]
        before = time.time_ns()
        play(programs, {}, {})
        until(programs, lambda: all(program.ended for program in programs))
        client, server = programs
        assert client.connected is not None
        assert server.connected is not None
        assert (client.connected.local, client.connected.remote) == (server.connected.remote, server.connected.local)
        assert client.connected.remote == f"127.0.0.1:{server.port}"
        assert min(client.connected.rcvbuf, client.connected.sndbuf, server.connected.rcvbuf) > 2000
        for program in programs:
            assert program.ended is not None
            assert (program.ended.sent, program.ended.received, program.ended.error, program.ended.corrupt) == (
                32,
                32,
                None,
                False,
            )
            progress = counted(program)
            assert (progress.sent, progress.received, progress.role) == (32, 32, program.role)
            assert before < progress.stamp_ns <= program.ended.time_ns
            assert b"all verified" in program.log()
            assert program.host_pid > 0


def test_ipv6_addresses_are_in_brackets() -> None:
    with pair() as programs:
        play(programs, {"family": 6, "address": "::1"}, {"family": 6, "address": "::1"})
        until(programs, lambda: programs.client.connected)
        assert programs.client.connected is not None
        assert programs.client.connected.remote == f"[::1]:{programs.server.port}"


def test_a_job_that_is_refused_is_a_wish_that_cannot_be_played() -> None:
    with pair() as programs:
        programs.server.play(JOB | {"behaviour": "nosuch"})
        with pytest.raises(errors.SpecError, match="the server's program refuses its job: behaviour 'nosuch'"):
            until(programs, lambda: False)


@pytest.mark.parametrize("role", Role)
def test_a_killed_host_has_gone_away(role: Role) -> None:
    with pair() as programs:
        play(programs, {"behaviour": "silent"}, {"behaviour": "idle"})
        until(programs, lambda: programs.client.connected)
        os.kill(programs[role].host_pid, 9)
        with pytest.raises(errors.TestbedError, match=f"the {role}'s program went away"):
            until(programs, lambda: False)


def test_after_the_last_word_nothing_more_is_awaited() -> None:
    with pair() as programs:
        play(programs, {}, {})
        until(programs, lambda: programs.client.gone)
        assert programs.client.ended is not None
        programs.client.read_messages()
        assert not programs.server.gone, "a server serves one client after the other"


def test_nobody_at_the_barrier_is_said_after_the_limit() -> None:
    began = time.monotonic()
    with pytest.raises(errors.TestbedError, match=r"the client's program was not at the barrier within 0\.1 s"):
        Program.meet(HERE, secrets.token_hex(8), Role.CLIENT, 0.1, os.getpid())
    assert time.monotonic() - began >= 0.1


@contextmanager
def impostor() -> Iterator[tuple[Program, socket.socket]]:
    """A program that may say anything."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    program = Program(Role.SERVER, ours)
    with theirs:
        try:
            yield program, theirs
        finally:
            program.close()


@pytest.mark.parametrize(
    "words",
    [
        b"hello\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"{}\n",
        b'{"event": 7, "port": []}\n{"event": "listening"}\n',
        b'{"event": "listening", "port": "x"}\n',
        b'{"event": "connected", "local": ["127.0.0.1"], "remote": ["127.0.0.1", 1], "rcvbuf": 1, "sndbuf": 1}\n',
        b'{"event": "connected", "local": ["nowhere", 1], "remote": ["127.0.0.1", 1], "rcvbuf": 1, "sndbuf": 1}\n',
        b'{"event": "ended", "sent": null, "received": 0, "error": null, "corrupt": false}\n',
        b"[" * 60000 + b"\n",
        b"x" * (1 << 17),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(words: bytes) -> None:
    with impostor() as (program, theirs):
        theirs.settimeout(LIMIT_S)
        theirs.sendall(words)
        with pytest.raises(errors.TestbedError, match="the server's program says") as raised:
            program.read_messages()
        assert "\n" not in str(raised.value)
        assert len(str(raised.value)) < 1500


def test_a_report_may_come_in_pieces() -> None:
    with impostor() as (program, theirs):
        for byte in json.dumps({"event": "listening", "port": 1060}).encode() + b"\n":
            assert program.port is None
            theirs.send(bytes([byte]))
            program.read_messages()
        assert program.port == 1060


def test_an_event_that_we_do_not_know_is_passed_over() -> None:
    with impostor() as (program, theirs):
        theirs.send(b'{"event": "sings"}\n{"event": "listening", "port": 7}\n')
        program.read_messages()
        assert program.port == 7


@pytest.mark.parametrize(
    ("report", "says"),
    [
        ({"status": 0, "signal": 9}, "was killed by SIGKILL in mid-run"),
        ({"status": 0, "signal": 64}, "was killed by "),
        ({"status": 70, "signal": None}, "exited with status 70 in mid-run; its log says why"),
    ],
)
def test_how_it_exited_is_told(report: dict[str, object], says: str) -> None:
    with impostor() as (program, theirs):
        theirs.send(json.dumps({"event": "exited"} | report).encode() + b"\n")
        with pytest.raises(errors.TestbedError, match=says):
            program.read_messages()


def test_an_exit_after_the_end_is_as_it_should_be() -> None:
    end = {"event": "ended", "sent": 1, "received": 2, "error": "ECONNRESET: x", "corrupt": False}
    with impostor() as (program, theirs):
        theirs.send(b"".join(json.dumps(each).encode() + b"\n" for each in (end, {"event": "exited", "status": 1})))
        theirs.close()
        program.read_messages()
        assert program.ended is not None
        assert program.ended.error == "ECONNRESET: x"
        assert program.gone


def test_a_job_cannot_be_given_to_one_who_has_left() -> None:
    with impostor() as (program, theirs):
        theirs.close()
        with pytest.raises(errors.TestbedError, match="the server's program has left the barrier"):
            program.play(JOB)


def test_the_page_is_the_programs_to_write_and_ours_to_read() -> None:
    with impostor() as (program, theirs):
        program.play(JOB)
        _, (page, log), _, _ = socket.recv_fds(theirs, 1 << 16, 2)
        os.pwrite(page, struct.pack("<QQQQ", 1, 20, 30, 40), 0)
        os.write(log, b"a line\n")
        progress = counted(program)
        assert (progress.sent, progress.received, progress.stamp_ns) == (20, 30, 40)
        assert program.log() == b"a line\n"
        os.close(page)
        os.close(log)


LISTENS: dict[str, object] = {"event": "listening", "port": 1060}
CONNECTS = {"event": "connected", "local": ["10.0.0.1", 1060], "remote": ["10.0.0.2", 7], "rcvbuf": 1, "sndbuf": 1}
ENDS = {"event": "ended", "sent": 1, "received": 2, "error": None, "corrupt": False}
GIVEN = JOB | {"address": "10.0.0.1", "port": 1060}


def say(theirs: socket.socket, *messages: dict[str, object]) -> None:
    theirs.sendall(b"".join(json.dumps(each).encode() + b"\n" for each in messages))


@pytest.mark.parametrize(
    "messages",
    [
        [LISTENS | {"port": 1061}],
        [LISTENS, LISTENS],
        [ENDS],
        [CONNECTS],
        [LISTENS, CONNECTS | {"local": ["10.0.0.1", 1061]}],
        [LISTENS, CONNECTS, ENDS, ENDS],
        [LISTENS, {"event": "refused", "error": "too late"}],
        [LISTENS, CONNECTS, {"event": "refused", "error": "too late"}],
    ],
)
def test_what_cannot_be_at_that_point_is_refused(messages: list[dict[str, object]]) -> None:
    with impostor() as (program, theirs):
        program.play(GIVEN)
        say(theirs, *messages)
        with pytest.raises(errors.TestbedError, match="the server's program says what cannot be at this point"):
            program.read_messages()


def test_an_end_with_an_error_may_come_before_any_connection() -> None:
    with impostor() as (program, theirs):
        program.play(GIVEN)
        say(theirs, ENDS | {"error": "EADDRINUSE: Address already in use"})
        program.read_messages()
        assert program.ended is not None


def test_a_stranger_at_the_servers_port_is_passed_over_once_the_client_is_known() -> None:
    stranger = CONNECTS | {"remote": ["10.0.0.9", 9]}
    with impostor() as (program, theirs):
        program.play(GIVEN)
        say(theirs, LISTENS, stranger, ENDS, CONNECTS)
        program.read_messages()
        assert (program.connected and program.connected.remote, program.ended) == ("10.0.0.2:7", None)
        program.peer = "10.0.0.2:7"
        say(theirs, ENDS, stranger, ENDS | {"error": "EOF: 0 of 32 bytes came"})
        program.read_messages()
        assert (program.connected and program.connected.remote) == "10.0.0.2:7"
        assert program.ended is not None
        assert program.ended.error is None


@pytest.mark.parametrize(
    "words", [(1, 1 << 63, 0, 0, 0), (1, 0, 0, 0, (1 << 64) - 1), (1, 2, 3, time.time_ns() + 10**15, 0)]
)
def test_counters_that_cannot_be_are_not_known(words: tuple[int, ...]) -> None:
    with impostor() as (program, theirs):
        program.play(JOB)
        _, descriptors, _, _ = socket.recv_fds(theirs, 1 << 16, 2)
        os.pwrite(descriptors[0], struct.pack("<5Q", *words), 0)
        assert program.progress() is None
        for descriptor in descriptors:
            os.close(descriptor)
