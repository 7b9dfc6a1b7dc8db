"""The endpoints are processes of this machine that end with the lab and that nobody else controls."""

import os
import secrets
import signal
from pathlib import Path

import pytest

from lab.kernel.place.netns import Namespace
from lab.spec import Pair, Role
from lab.testbed import process
from lab.testbed.barrier import Program

HERE = Pair(Namespace.here(), Namespace.here())


def test_both_are_started_with_their_role_and_their_identity_and_end_with_the_context() -> None:
    identity = secrets.token_hex(8)
    with process.endpoints(HERE, identity) as hosts, process.programs(HERE, identity, 10, hosts) as programs:
        for role in Role:
            words = Path(f"/proc/{programs[role].host_pid}/cmdline").read_bytes().split(b"\0")
            assert [word.decode() for word in words[-3:-1]] == [role, identity]
            assert b"-S" in words, "no site-packages: standard library only"
        pids = [program.host_pid for program in programs]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_they_are_out_of_reach_of_the_terminal() -> None:
    """Ctrl-C goes to the foreground group: the lab ends its programs itself, or lets them stand."""
    identity = secrets.token_hex(8)
    with process.endpoints(HERE, identity) as hosts, process.programs(HERE, identity, 10, hosts) as programs:
        for program in programs:
            assert os.getsid(program.host_pid) == program.host_pid != os.getsid(0)


def test_the_environment_of_the_caller_does_not_reach_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "1")
    identity = secrets.token_hex(8)
    with process.endpoints(HERE, identity) as hosts, process.programs(HERE, identity, 10, hosts) as programs:
        for program in programs:
            assert b"SECRET" not in Path(f"/proc/{program.host_pid}/environ").read_bytes()


def test_one_that_is_stopped_is_killed_at_the_end() -> None:
    identity = secrets.token_hex(8)
    with process.endpoints(HERE, identity) as hosts:
        program = Program.meet(HERE.client, identity, Role.CLIENT, 10, hosts.client)
        os.kill(program.host_pid, signal.SIGSTOP)
        program.close()
    assert not Path(f"/proc/{program.host_pid}").exists()


def test_an_error_ends_them_as_well() -> None:
    pids: list[int] = []

    def fails(identity: str) -> None:
        with process.endpoints(HERE, identity) as hosts, process.programs(HERE, identity, 10, hosts) as programs:
            pids.extend(program.host_pid for program in programs)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails(secrets.token_hex(8))
    assert len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
