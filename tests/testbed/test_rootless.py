"""Without root: the same freeze, the same three witnesses, in a user namespace that the lab enters by itself."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.proof.judge import judge
from lab.spec import Outcome
from lab.store import load
from tests import unprivileged
from tests.commanded import environment
from tests.testbed.test_loopback import FORBIDDING
from tests.waiting import LIMIT_S, seen

SQUEEZED = ("--tcp-rmem", "4096 8192 8192", "--tcp-wmem", "4096 8192 8192", "--send-size", "1024")


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    with unprivileged.clone() as folder:
        yield folder


def test_an_ordinary_user_sees_the_same_deadlock_by_the_same_three_witnesses(clone: Path) -> None:
    said = unprivileged.lab(clone, "run", "--format", "json")
    assert said.code == 0, said.err
    assert (said.json["outcome"], said.json["testbed"], said.err) == ("deadlock", "netns", "")
    assert said.json["witnesses"] == {"program": "agrees", "kernel": "agrees", "wire": "agrees"}
    assert said.json["missing"] == []
    run = Path(said.json["run"])
    assert {path.stat().st_uid for path in (run, *run.iterdir())} == {unprivileged.UID}


def test_sysctls_and_links_are_his_own_too(clone: Path) -> None:
    said = unprivileged.lab(clone, "run", "--format", "json", "--mtu", "9000", "--ip", "6", *SQUEEZED)
    assert said.code == 0, said.err
    assert said.json["buffers"]["client"] == {"rcvbuf": 8192, "sndbuf": 8192}


def test_what_he_recorded_anybody_can_judge(clone: Path) -> None:
    said = unprivileged.lab(clone, "run", "read-read", "--format", "json")
    assert said.code == 0, said.err
    run = Path(said.json["run"])
    assert judge(load(run)).outcome is Outcome.READ_READ
    again = unprivileged.lab(clone, "judge", "--format", "json", run)
    assert (again.code, again.json["connections"][0]["outcome"]) == (0, "read-read")


def test_a_folder_of_somebody_else_that_he_may_write_into_will_do(clone: Path) -> None:
    """Such as /tmp: in a user namespace its owner is nobody, and no file can be given to nobody."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        said = unprivileged.lab(clone, "run", "idle", "--format", "json", "--runs", name)
        assert said.code == 0, said.err
        assert Path(said.json["run"]).stat().st_uid == unprivileged.UID


def test_a_folder_that_he_may_not_write_into_is_one_line_and_exit_4(clone: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        said = unprivileged.lab(clone, "run", "idle", "--runs", name)
        assert (said.code, said.out) == (4, "")
        assert said.err.startswith(f"lab: cannot write into {name} (Permission denied)")
        assert said.err.count("\n") == 1


def test_a_run_that_he_may_not_read_is_bad_input(clone: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        said = unprivileged.lab(clone, "judge", "--format", "json", Path(name) / "runs")
        assert said.code == 2, said.err
        assert [each["path"] for each in said.json["errors"]] == [f"{name}/runs"]


def test_where_he_may_not_even_make_a_namespace_it_is_loopback_and_the_wire_is_missing(clone: Path) -> None:
    """He may not capture on the host's loopback. The proof does not need the wire, and what is missing is named."""
    said = unprivileged.lab(clone, "run", "--format", "json", before=(sys.executable, "-c", FORBIDDING, "/usr/bin/env"))
    assert said.code == 0, said.err
    assert said.err.startswith("lab: user and network namespaces are forbidden here")
    assert (said.json["outcome"], said.json["testbed"]) == ("deadlock", "loopback")
    assert said.json["witnesses"] == {"program": "agrees", "kernel": "agrees", "wire": "missing"}
    assert any("cannot capture on lo: needs CAP_NET_RAW" in each for each in said.json["missing"])
    assert said.json["wire"]["frames"] is None


def test_a_control_needs_no_wire_there(clone: Path) -> None:
    said = unprivileged.lab(
        clone, "run", "read-read", "--format", "json", before=(sys.executable, "-c", FORBIDDING, "/usr/bin/env")
    )
    assert (said.code, said.json["outcome"]) == (0, "read-read")


def test_kill_9_leaves_no_process_of_his(clone: Path) -> None:
    import select
    import signal

    from tests.commanded import below

    process = subprocess.Popen(
        unprivileged.command("run", "--until", "proof", "--hold"),
        cwd=clone,
        env=environment(HOME=str(clone)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:

        def family() -> list[tuple[int, str]]:
            assert process.poll() is None
            return below(process.pid)

        all_four = seen(family, lambda members: len(members) >= 4)
        pidfds = [os.pidfd_open(pid) for pid, _ in all_four]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(LIMIT_S)
    for pidfd in pidfds:
        assert select.select([pidfd], [], [], LIMIT_S)[0]
        os.close(pidfd)


def test_a_process_that_is_hidden_is_not_called_absent(clone: Path) -> None:
    """With a /proc of its own, since `hidepid` is an option of the mount."""
    hide = ("unshare", "--mount", "bash", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "bash")
    said = unprivileged.lab(clone, "watch", "--once", "--pid", str(os.getpid()), before=hide)
    assert (said.code, said.out) == (4, "")
    assert said.err == f"lab: the descriptors of process {os.getpid()} cannot be read (CAP_SYS_PTRACE): run as root\n"
