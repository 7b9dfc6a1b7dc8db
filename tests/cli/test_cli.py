"""The door: one line and the documented code for whatever goes wrong, and nothing on standard output then."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.cli import COMMANDS
from lab.version import VERSION
from tests.commanded import ROOT, environment, is_one_line, lab
from tests.waiting import LIMIT_S, until


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["run", "--help"], ["judge", "-h"]])
def test_help_is_for_standard_output(arguments: list[str]) -> None:
    said = lab(*arguments)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("Usage: lab")


def test_the_version_is_told() -> None:
    said = lab("--version")
    assert (said.code, said.err) == (0, "")
    assert VERSION in said.out


def test_no_command_shows_what_there_is() -> None:
    said = lab()
    assert (said.code, said.out) == (2, "")
    for command in COMMANDS:
        assert f"\n  {command} " in said.err


BAD = [
    (["frobnicate"], "frobnicate"),
    (["runn"], "unknown command 'runn': did you mean 'run'?"),
    (["--verbose"], "--verbose"),
    (["run", "--paylod", "1"], "'--payload'"),
    (["run", "--payload", "lots"], "'--payload' (env var: 'LAB_PAYLOAD'): size 'lots'"),
    (["run", "--paced", "later"], "'--paced' (env var: 'LAB_PACED'): duration 'later'"),
    (["run", "--tcp-rmem", "server=few"], "'--tcp-rmem' (env var: 'LAB_TCP_RMEM'): tcp buffer triple 'few'"),
    (["run", "--nodelay", "2"], "'--nodelay' (env var: 'LAB_NODELAY'): '2': needs 1 or 0"),
    (["run", "--nodelay", "uper"], "did you mean 'upper'?"),
    (["run", "--testbed", "netnss"], "did you mean 'netns'?"),
    (["run", "--remedy", "selector"], "did you mean 'selectors'?"),
    (["forecast", "--testbed", "bogus"], "'--testbed' (env var: 'LAB_TESTBED'): unknown testbed 'bogus'"),
    (["remedies", "--testbed", "bogus"], "unknown testbed 'bogus'"),
    (["completion", "tcsh"], "'tcsh' is not one of"),
    (["run", "--frobnicate"], "--frobnicate"),
    (["run", "upper", "echo"], "echo"),
    (["run", "uper"], "did you mean 'upper'?"),
    (["run", "up\nper"], "unknown scenario"),
    (["run", "--testbed", "vmware"], "compose, loopback, netns"),
    (["run", "--remedy", "prayer"], "unknown remedy"),
    (["run", "--payload", "much"], "for example 4096, 64k or 10MiB"),
    (["run", "--payload", "2t"], "1099511627776"),
    (["run", "--payload", "-1"], "size '-1'"),
    (["run", "--payload", "9" * 400], "for example"),
    (["run", "--send-size", "0"], "send size 0"),
    (["run", "--recv-size", "17m"], "recv size"),
    (["run", "--server-block", "x"], "size 'x'"),
    (["run", "--tcp-rmem", "1 2"], "three ascending integers"),
    (["run", "--tcp-rmem", "3 2 1"], "three ascending integers"),
    (["run", "--tcp-wmem", "server=8192 4096 1"], "three ascending integers"),
    (["run", "--tcp-wmem", "both=1 2 3"], "three ascending integers"),
    (["run", "--so-rcvbuf", "0"], "SO_RCVBUF 0"),
    (["run", "--so-sndbuf", "client=3g"], "SO_SNDBUF 3221225472"),
    (["run", "--sysctl", "tcp_sack"], "KEY=VALUE"),
    (["run", "--sysctl", "net.core.rmem_max=1"], "only keys net.ipv4.tcp_* are per namespace"),
    (["run", "--sysctl", "ip_forward=1"], "only keys net.ipv4.tcp_* are per namespace"),
    (["run", "--sysctl", "tcp_no_such_key=1"], "this kernel has no such key"),
    (["run", "--sysctl", "tcp_sack=perhaps"], "the kernel refuses it"),
    (["run", "--host-sysctl", "net.core.rmem_max=1"], "net.core.rmem_max 1: needs 2304 to 2147483647 bytes"),
    (["run", "--host-sysctl", "wmem_max=2g"], "net.core.wmem_max 2147483648: needs 4608 to 2147483647 bytes"),
    (["run", "--host-sysctl", "net.core.somaxconn=1"], "of net.core there are rmem_max, wmem_max, rmem_default"),
    (["run", "--host-sysctl", "client=net.core.rmem_max=131071"], "size 'net.core.rmem_max=131071'"),
    (["run", "--host-sysctl", "net.core.rmem_max"], "KEY=VALUE"),
    (["limits", "--host-sysctl", "net.ipv4.tcp_rmem=4096"], "of net.core there are rmem_max"),
    (["run", "--nodelay=2"], "'--nodelay' (env var: 'LAB_NODELAY'): '2': needs 1 or 0"),
    (["run", "--ip", "5"], "'5' is not one of '4', '6'"),
    (["run", "--port", "0"], "port 0"),
    (["run", "--port", "65536"], "port 65536"),
    (["run", "--port", "http"], "'http' is not a valid integer"),
    (["run", "--mtu", "10"], "mtu 10"),
    (["run", "--net", "10.0.0.0"], "first three octets"),
    *((["run", "--net", net], "no two hosts") for net in ("0.0.0", "127.0.0", "224.0.0", "255.255.255")),
    (["run", "--snaplen", "1"], "snaplen 1"),
    (["run", "--capture", "some"], "'some' is not one of"),
    (["run", "--until", "tomorrow"], "'tomorrow': needs proof, probes, or seconds"),
    (["run", "--until", "0"], "until 0"),
    (["run", "--paced", "2h"], "duration '2h'"),
    (["run", "--expect", "happiness"], "'happiness' is not one of"),
    (["run", "--format", "xml"], "'xml' is not one of"),
    (["run", "--testbed", "loopback", "--tcp-rmem", "1 2 3"], "--tcp-rmem: on loopback"),
    (["run", "--testbed", "loopback", "--mtu", "9000"], "--mtu: loopback's"),
    (["judge"], "PATHS"),
    (["forecast", "--payload", "lots"], "size 'lots'"),
    (["list", "everything"], "everything"),
    (["run", "--nodelay", "client=2"], "'--nodelay' (env var: 'LAB_NODELAY'): '2': needs 1 or 0"),
    (["watch", "--once", "--pid", "-1"], "'--pid'"),
    (["doctor", "--net", "1.2"], "first three octets"),
]


@pytest.mark.parametrize(
    ("arguments", "says"), BAD, ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else ""
)
def test_bad_input_is_one_line_and_exit_2(arguments: list[str], says: str, tmp_path: Path) -> None:
    said = lab(*arguments, LAB_RUNS=str(tmp_path))
    assert said.code == 2, said.err
    assert is_one_line(said)
    assert says in said.err


def test_a_bad_option_leaves_no_run_directory(tmp_path: Path) -> None:
    """A key is tried only when the hosts stand; even then there is no run to look at."""
    for options in (["--payload", "x"], ["--ip", "5"]):
        assert lab("run", "--runs", tmp_path / "runs", *options).code == 2
    assert not (tmp_path / "runs").exists()


def test_a_place_that_cannot_be_written_is_one_line_and_exit_4(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = lab("run", "idle", "--runs", tmp_path / "file")
    assert said.code == 4
    assert is_one_line(said)
    assert "--runs or LAB_RUNS" in said.err


def test_a_full_disk_is_one_line_and_exit_4(tmp_path: Path) -> None:
    """A file system of 16 KiB, in a mount namespace of its own."""
    script = 'mount -t tmpfs -o size=16k none "$1" && shift && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path)]
    done = subprocess.run(
        [*command, sys.executable, "-m", "lab", "run", "--runs", tmp_path / "runs"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_nobody_foresaw_is_the_labs_fault_and_exits_5(tmp_path: Path) -> None:
    """A library that is broken, say: never 1, which would mean a verdict."""
    (tmp_path / "msgspec.py").write_text("raise RuntimeError('broken')")
    said = lab("judge", tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}", LAB_FORMAT="json")
    assert (said.code, said.out) == (5, "")
    assert "RuntimeError: broken" in said.err
    assert said.err.splitlines()[-1].startswith("lab: this is a defect of the lab")


def test_a_second_ctrl_c_changes_nothing_any_more() -> None:
    code = """
import os, signal, sys
import lab.cli

def interrupted(**_):
    raise KeyboardInterrupt

lab.cli.app.main = interrupted
code = lab.cli.main()
os.kill(os.getpid(), signal.SIGINT)
sys.exit(code)
"""
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "lab: interrupted\n")


def test_a_reader_that_leaves_early_is_not_complained_of_and_gets_no_verdict() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "lab", "list", "--format", "json"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(LIMIT_S) == 128 + signal.SIGPIPE


def test_help_needs_no_heavy_library() -> None:
    """It must answer at once: scapy alone costs a third of a second."""
    code = "import sys, lab.cli; sys.argv[1:] = ['run', '--help']; lab.cli.main(); print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    modules = done.stdout.splitlines()[-1]
    for heavy in ("scapy", "pyroute2", "docker", "msgspec", "rich", "numpy"):
        assert f"'{heavy}'" not in modules


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "--format", "json"], ["doctor"]])
def test_a_full_disk_under_the_output_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lab", *arguments], cwd=ROOT, env=environment(), stdout=full, stderr=subprocess.PIPE,
            text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (4, "lab: cannot write the output: No space left on device\n")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_that_the_caller_has_chosen_to_ignore_is_ignored(number: signal.Signals) -> None:
    """nohup(1): what was started so goes on when its terminal is closed."""
    ignoring = f"trap '' {number.name[3:]}; exec \"$@\""
    with subprocess.Popen(
        ["bash", "-c", ignoring, "bash", sys.executable, "-m", "lab", "judge", "-"],
        cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        wait_until_asleep_in_a_read(process.pid)
        process.send_signal(number)
        out, err = process.communicate("no capture", timeout=LIMIT_S)
    assert process.returncode == 2
    assert "not a capture" in out + err


def wait_until_asleep_in_a_read(pid: int) -> None:
    """Of its standard input: then all that comes before has been done."""
    until(lambda: Path(f"/proc/{pid}/syscall").read_text().split()[:2] == ["0", "0x0"], what="a read")


@pytest.mark.parametrize("words", [["run", "--bad"], ["run", "--payload", "x"], ["judge", "no-such-file"]])
def test_an_error_that_nobody_can_be_told_has_its_exit_code_all_the_same(words: list[str]) -> None:
    read, nobody_reads = os.pipe()
    os.close(read)
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        for nowhere in (nobody_reads, full):
            command = [sys.executable, "-m", "lab", *words]
            done = subprocess.run(
                command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=nowhere, timeout=LIMIT_S,
                check=False,
            )  # fmt: skip
            assert done.returncode == 2
    finally:
        os.close(nobody_reads)
        os.close(full)


@pytest.mark.parametrize("limit", ["-n 8", "-n 12", "-n 20", "-f 10"])
def test_a_limit_of_the_caller_is_one_line_and_exit_4(limit: str, tmp_path: Path) -> None:
    """Descriptors, the size of a file: of setrlimit(2)."""
    done = subprocess.run(
        ["bash", "-c", f'ulimit {limit} && exec "$@"', "bash", sys.executable, "-m", "lab", "run", "--until", "proof"],
        cwd=ROOT, env=environment(LAB_RUNS=str(tmp_path)), capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("lab: ")
    assert "ulimit" in done.stderr
    assert "defect" not in done.stderr
