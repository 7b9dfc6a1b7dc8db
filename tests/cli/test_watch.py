"""`lab watch` on live strangers: it finds the frozen pair among the healthy ones, and changes nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.kernel.procfs import descendants
from tests import unprivileged
from tests.commanded import ROOT
from tests.waiting import LIMIT_S, seen, until
from tests.watching.watched import crowd


def watch(*arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "lab", "watch", "--once", "--format", "json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def outcomes(said: dict[str, Any]) -> set[str]:
    return {each["outcome"] for each in said["connections"]}


def test_it_finds_the_one_frozen_pair_among_200_healthy_ones() -> None:
    with crowd(200, frozen=True) as (folder, _, client, server):
        code, said = watch("--netns", folder)
    assert code == 1
    assert len(said["connections"]) == 201
    (frozen,) = [each for each in said["connections"] if each["outcome"] == "deadlock"]
    # Nobody listens any more, so which end is the client's is guessed.
    assert {frozen["client"], frozen["server"]} == {f"127.0.0.1:{client}", f"127.0.0.1:{server}"}
    assert frozen["grade"] in ("proven", "qualified"), frozen["live"]
    assert {each["waits_for"] for each in frozen["cycle"]} == {"room to write"}
    assert frozen["path"] is None
    assert said["errors"] == []


def test_without_a_frozen_pair_it_is_0() -> None:
    with crowd(200, frozen=False) as (folder, *_):
        code, said = watch("--netns", folder)
    assert (code, len(said["connections"])) == (0, 200)
    assert outcomes(said) <= {"idle", "read-read", "moving"}


def test_a_port_and_a_process_choose_their_connections() -> None:
    with crowd(3, frozen=True) as (_, pid, client, _):
        code, said = watch("--port", str(client))
        assert (code, len(said["connections"])) == (1, 1)
        code, said = watch("--pid", str(pid))
        assert (code, len(said["connections"])) == (0, 3), "its children hold the frozen pair, it does not"


def test_a_holder_that_is_stopped_is_suspended_and_no_deadlock() -> None:
    with crowd(0, frozen=True) as (folder, pid, *_):
        child = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        os.kill(child, signal.SIGSTOP)
        try:
            code, said = watch("--netns", folder)
        finally:
            os.kill(child, signal.SIGCONT)
    assert (code, outcomes(said)) == (0, {"suspended"})


def test_nothing_of_the_target_changes() -> None:
    def facts(pid: int) -> list[str]:
        return [Path(f"/proc/{pid}/{name}").read_text() for name in ("limits", "cgroup")]

    with crowd(5, frozen=True) as (folder, pid, *_):
        before, descriptors = facts(pid), len(os.listdir(f"/proc/{pid}/fd"))
        watch("--netns", folder)
        assert (facts(pid), len(os.listdir(f"/proc/{pid}/fd"))) == (before, descriptors)
        assert "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text()


def test_who_may_not_look_everywhere_is_told_so_and_what_would_decide() -> None:
    """A namespace of his own user's that he may not enter, such as a rootless lab's, is no hindrance to the rest."""
    with unprivileged.clone() as clone, crowd(0, frozen=True) as (folder, *_):
        his = ["setpriv", f"--reuid={unprivileged.UID}", f"--regid={unprivileged.UID}", "--clear-groups"]
        other = subprocess.Popen([*his, "unshare", "--user", "--net", "cat"], stdin=subprocess.PIPE)
        try:
            until(lambda: os.readlink(f"/proc/{other.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
            words = ("watch", "--once", "--format", "json")
            said = unprivileged.lab(clone, *words, before=("nsenter", f"--net={folder}"))
        finally:
            other.communicate(timeout=LIMIT_S)
    assert said.code == 1, said.err
    assert said.err.startswith("lab: not looked at: the network namespaces of ")
    (frozen,) = json.loads(said.out)["connections"]
    assert frozen["grade"] == "consistent"
    assert "CAP_SYS_PTRACE" in frozen["missing"][0]


def test_live_it_says_one_document_a_line_and_ends_with_ctrl_c() -> None:
    with crowd(2, frozen=True) as (folder, *_):
        command = [sys.executable, "-m", "lab", "watch", "--format", "json", "--netns", folder]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert "deadlock" in outcomes(said)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130


def test_it_serves_metrics_and_logs_what_is_news(tmp_path: Path) -> None:
    log = tmp_path / "stalls.jsonl"
    keeps = ("--log", str(log), "--metrics", "0")
    with crowd(2, frozen=True) as (folder, *_), live("--netns", folder, *keeps, stdout=subprocess.DEVNULL) as watching:
        assert watching.stderr is not None
        where = re.fullmatch(r"lab: metrics at (http://127\.0\.0\.1:\d+/metrics)\n", watching.stderr.readline())
        assert where is not None
        until(lambda: deadlocks_at(where[1]) == 1)
        until(lambda: '"deadlock"' in log.read_text())
        watching.send_signal(signal.SIGINT)
        assert watching.wait(LIMIT_S) == 130
        code, said = watch("--netns", folder, "--log", str(log))
    assert code == 1
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [each["time_ns"] for each in lines] == sorted(each["time_ns"] for each in lines)
    assert said == {key: value for key, value in lines[-1].items() if key != "time_ns"}, "--once logs all"


def test_for_a_while_it_goes_on_and_ends_as_once_does() -> None:
    with crowd(1, frozen=True) as (folder, *_), live("--netns", folder, "--for", "1ms") as watching:
        said, _ = watching.communicate(timeout=LIMIT_S)
        assert watching.returncode == 1
        assert "deadlock" in outcomes(json.loads(said.splitlines()[0]))
        with live("--netns", folder, "--for", "1ms", "--alarm", "blackhole") as unalarmed:
            unalarmed.communicate(timeout=LIMIT_S)
        assert unalarmed.returncode == 0


def text_at(url: str) -> str:
    with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
        return str(answer.read().decode())


def deadlocks_at(url: str) -> float:
    line = r'^lab_watch_connections\{.*outcome="deadlock"\} (.+)$'
    return sum(map(float, re.findall(line, text_at(url), re.MULTILINE)))


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--once", "--metrics", "9750"), 2, "--metrics needs a watch that goes on"),
        (("--metrics", "203.0.113.1:9750"), 4, "--metrics 203.0.113.1:9750: Cannot assign requested address"),
        (("--once", "--log", "/dev/full"), 4, "--log /dev/full: No space left on device"),
        (("--log", "/proc/1/none/log"), 4, "--log /proc/1/none/log: No such file or directory"),
    ],
)
def test_what_cannot_be_kept_or_served_is_one_line(arguments: tuple[str, ...], code: int, says: str) -> None:
    with live(*arguments) as watching:
        _, errors = watching.communicate(timeout=LIMIT_S)
    assert watching.returncode == code
    assert errors.startswith(f"lab: {says}")
    assert errors.count("\n") == 1


@contextmanager
def live(*arguments: str, stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "lab", "watch", "--format", "json", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def test_when_the_only_process_that_is_watched_ends_it_says_so_and_ends_as_what_broke_away() -> None:
    with crowd(1, frozen=False) as (_, pid, *_), live("--pid", str(pid)) as watching:
        assert watching.stdout is not None
        assert len(json.loads(watching.stdout.readline())["connections"]) == 1
        os.kill(pid, signal.SIGKILL)  # and nobody waits for it yet
        _, errors = watching.communicate(timeout=LIMIT_S)
    assert (watching.returncode, errors) == (4, f"lab: process {pid} has ended: nothing is left to watch\n")


def test_when_one_of_two_processes_ends_the_other_is_watched_on() -> None:
    with (
        crowd(1, frozen=False) as (_, one, *_),
        crowd(1, frozen=False) as (_, other, *_),
        live("--pid", str(one), "--pid", str(other)) as watching,
    ):
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert len(json.loads(watching.stdout.readline())["connections"]) == 2
        os.kill(one, signal.SIGKILL)
        assert watching.stderr.readline() == f"lab: process {one} has ended\n"
        os.kill(other, signal.SIGKILL)
        assert "nothing is left to watch" in watching.stderr.readline()
        assert watching.wait(LIMIT_S) == 4


def test_a_container_that_is_restarted_is_followed_and_one_that_joins_its_project_is_found() -> None:
    name, project = f"followed-{os.getpid()}", f"project-{os.getpid()}"
    idle = """
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
client, (server, _) = socket.create_connection(listener.getsockname()), listener.accept()
time.sleep(1e6)
"""

    def run(name: str) -> None:
        words = ["--detach", "--init", "--name", name, "--label", f"com.docker.compose.project={project}"]
        docker("run", *words, "--entrypoint", "python3", "zero-window-lab-endpoint", "-c", idle)

    def told(watching: subprocess.Popen[str]) -> set[str]:
        assert watching.stdout is not None
        return {each["client"] for each in json.loads(watching.stdout.readline())["connections"]}

    try:
        run(name)
        with live("--container", name) as by_name, live("--compose", project) as by_project:
            first = told(by_name)
            assert len(first) == 1
            assert told(by_project) == first
            docker("restart", "--time", "0", name)
            second = told(by_name)
            assert len(second - first) == 1
            assert told(by_project) == second
            run(f"{name}-2")
            assert len(told(by_project) - second) == 1
            docker("rm", "--force", name)
            assert by_name.stderr is not None
            said = f"lab: the container {name} has ended: watched again when it runs again\n"
            assert [by_name.stderr.readline() for _ in range(2)] == [said, said], "by the restart, and now"
            assert by_name.poll() is None
    finally:
        docker("rm", "--force", name, f"{name}-2")


def docker(*words: str) -> None:
    subprocess.run(["docker", *words], check=True, capture_output=True, timeout=LIMIT_S)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--pid", "4194304"), "no process 4194304"),
        (("--netns", "nowhere"), "no network namespace 'nowhere'"),
        (("--netns", "/etc/passwd"), "no network namespace '/etc/passwd'"),
        (("--netns", "/proc/self/ns/mnt"), "no network namespace '/proc/self/ns/mnt'"),
        (("--container", "nobody"), "no container 'nobody'"),
        (("--container", ""), "no container ''"),
        (("--port", "0"), "'--port'"),
        (("--port", "65536"), "'--port'"),
        (("--compose", "nothing"), "compose project 'nothing'"),
    ],
)
def test_what_is_not_there_is_one_line_and_exit_2(arguments: tuple[str, ...], says: str) -> None:
    command = [sys.executable, "-m", "lab", "watch", "--once", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert says in done.stderr


def test_in_the_controller_s_container_the_remedy_for_a_missing_engine_is_the_host() -> None:
    command = [sys.executable, "-m", "lab", "watch", "--once", "--compose", "anybody"]
    without = os.environ | {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    for there, says in ({}, "unset DOCKER_HOST"), ({"LAB_CONTROLLER": "1"}, "--pid, --netns and --port here too"):
        done = subprocess.run(
            command, cwd=ROOT, env=without | there, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1)
        assert says in done.stderr


def test_a_process_whose_descriptors_are_listed_and_hidden_is_none_without_connections() -> None:
    """As PID 1 of some machines is to root."""
    less = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat"]
    with subprocess.Popen(other, stdin=subprocess.PIPE) as process:
        seen(Path(f"/proc/{process.pid}/comm").read_text, lambda name: name == "cat\n")
        command = [*less, sys.executable, "-m", "lab", "watch", "--once", "--pid", str(process.pid)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert "cannot be read (CAP_SYS_PTRACE)" in done.stderr


def test_a_pipe_in_the_place_of_a_namespace_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    command = [sys.executable, "-m", "lab", "watch", "--once", "--netns", str(tmp_path / "pipe")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no network namespace" in done.stderr


def test_several_in_one_variable_are_joined_by_a_semicolon() -> None:
    with crowd(3, frozen=True) as (_, _, client, server):
        command = [sys.executable, "-m", "lab", "watch", "--once", "--format", "json"]
        ports = os.environ | {"LAB_WATCH_PORT": f"{client};{server}"}
        done = subprocess.run(
            command, cwd=ROOT, env=ports, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        assert (done.returncode, done.stderr) == (1, "")
        assert len(json.loads(done.stdout)["connections"]) == 1


def test_the_port_of_a_run_is_no_filter_of_watch() -> None:
    """LAB_PORT is set for a run: a frozen pair at another port must not go unseen."""
    with crowd(3, frozen=True) as (_, pid, *_):
        writer = descendants(pid)[1]
        command = [sys.executable, "-m", "lab", "watch", "--once", "--pid", str(writer)]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"LAB_PORT": "9"}, capture_output=True, text=True, timeout=LIMIT_S,
            check=False,
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "1 deadlock" in done.stdout


def test_a_pair_in_containers_is_named_by_its_container() -> None:
    """Somebody else's containers, run as an ordinary user, from the host."""
    image, name = "zero-window-lab-endpoint", f"watched-{os.getpid()}"
    script = (ROOT / "tests/crowd.py").read_text()
    command = ["docker", "run", "--rm", "-i", "--name", name, "--user", "1000:1000", "--entrypoint", "python3"]
    process = subprocess.Popen(
        [*command, image, "-c", script, "1", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("ready")
        code, said = watch("--container", name)
        done = subprocess.run(
            [sys.executable, "-m", "lab", "watch", "--once", "--container", name],
            cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(LIMIT_S)
    assert code == 1
    (frozen,) = [each for each in said["connections"] if each["outcome"] == "deadlock"]
    assert all(name in edge["waiter"] for edge in frozen["cycle"])
    assert name in done.stdout
