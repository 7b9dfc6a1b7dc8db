"""The parent process: nothing outlives it, it holds no TCP socket, and a new job takes the place of a frozen pair."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

from lab.kernel.place.netns import Namespace
from tests.endpoint.endpoint_stage import JOB, SQUEEZED, Controller, Stage, descriptors, has_ended, still
from tests.waiting import LIMIT_S, until


def freeze(stage: Stage) -> tuple[Controller, Controller]:
    client, server = stage.play("upper", "write_then_read", payload=1 << 30, **SQUEEZED)
    still(client, server)
    return client, server


def sockets_of(pid: int) -> set[str]:
    return {link[8:-1] for link in descriptors(pid).values() if link.startswith("socket:[")}


def tcp_inodes() -> set[str]:
    return {line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]}


def signal_set(pid: int, name: str) -> int:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1], 16)


def test_a_frozen_pair_stands_still_and_a_second_job_takes_its_place(stage: Stage) -> None:
    client, server = freeze(stage)
    sent, received = server.counters()
    assert 0 < received - sent <= 1024  # The block in hand: read, and not yet answered.
    again = stage.give("server")
    assert server.event() == {"event": "exited", "status": 0, "signal": signal.SIGKILL}
    assert server.is_closed()
    over = stage.give("client", behaviour="write_then_read", port=again.event()["port"])
    while client.event()["event"] != "exited":
        pass
    assert over.event()["event"] == "connected"
    ended = over.event()
    assert (ended["sent"], ended["received"], ended["error"], ended["corrupt"]) == (32, 32, None, False)
    assert over.event() == {"event": "exited", "status": 0, "signal": None}
    assert over.is_closed()


def test_a_controller_that_goes_away_leaves_the_pair_standing(stage: Stage) -> None:
    client, server = freeze(stage)
    children = stage.child("client"), stage.child("server")
    for controller in (client, server):
        controller.connection.shutdown(socket.SHUT_RDWR)
    still(client, server)
    assert (stage.child("client"), stage.child("server")) == children


def test_kill_9_of_the_parent_takes_the_frozen_child_away_at_once(stage: Stage) -> None:
    freeze(stage)
    pidfd = os.pidfd_open(stage.child("server"))
    stage.processes["server"].kill()
    assert has_ended(pidfd, LIMIT_S)
    os.close(pidfd)


def test_a_killed_child_is_told_and_the_parent_lives_on(stage: Stage) -> None:
    server = stage.give("server")
    server.event()
    os.kill(stage.child("server"), signal.SIGKILL)
    assert server.event() == {"event": "exited", "status": 0, "signal": signal.SIGKILL}
    assert stage.give("server").event()["event"] == "listening"


def test_sigterm_ends_both_while_they_are_frozen(stage: Stage) -> None:
    """And the parent has reaped the child: not every init does so soon, or at all."""
    freeze(stage)
    child = stage.child("client")
    pidfd = os.pidfd_open(child)
    stage.processes["client"].terminate()
    assert stage.processes["client"].wait(1.0) == 0
    assert has_ended(pidfd, LIMIT_S)
    os.close(pidfd)
    assert not Path(f"/proc/{child}").exists()


def test_sigint_belongs_to_the_controller(stage: Stage) -> None:
    server = stage.give("server")
    server.event()
    for pid in (stage.processes["server"].pid, stage.child("server")):
        os.kill(pid, signal.SIGINT)
        assert signal_set(pid, "SigIgn") & 1 << signal.SIGINT - 1
    assert stage.give("server").event()["event"] == "listening"


def test_as_pid_1_it_still_ends_at_sigterm(stage: Stage) -> None:
    outside = stage.start("server", wrapper=("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"))
    stage.give("server").event()
    os.kill(stage.child("server"), signal.SIGTERM)
    assert outside.wait(1.0) == 0


def test_the_child_handles_no_signal_that_could_end_the_freeze(stage: Stage) -> None:
    freeze(stage)
    assert signal_set(stage.child("server"), "SigCgt") == 0
    assert signal_set(stage.child("client"), "SigCgt") == 0


def test_only_the_child_holds_the_connection_and_it_is_one_thread(stage: Stage) -> None:
    freeze(stage)
    for role in ("client", "server"):
        child = stage.child(role)
        assert sockets_of(child) & tcp_inodes()
        assert not sockets_of(stage.processes[role].pid) & tcp_inodes()
        assert len(list(Path(f"/proc/{child}/task").iterdir())) == 1


def test_no_tcp_socket_exists_before_the_job(stage: Stage) -> None:
    process = stage.start("server")
    stage.call("server")
    assert not sockets_of(process.pid) & tcp_inodes()


def test_the_child_keeps_no_hold_on_the_barrier_or_on_other_callers(stage: Stage) -> None:
    stage.start("server")
    stage.call("server")
    stage.give("server").event()
    assert len(sockets_of(stage.child("server"))) == 2  # The controller's connection, and the listening TCP socket.


def test_a_standard_output_that_is_gone_or_full_does_not_matter(stage: Stage) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    stage.start("server", stdout=writing)
    assert stage.give("server").event()["event"] == "listening"
    os.close(reading)
    os.close(writing)
    assert stage.give("server").event()["event"] == "listening"


def test_log_lines_go_to_standard_output_too(stage: Stage) -> None:
    process = stage.start("server", stdout=subprocess.PIPE)
    server = stage.give("server")
    server.event()
    assert process.stdout is not None
    assert process.stdout.readline().decode() == server.log()
    process.stdout.close()


def test_a_hundred_jobs_leave_no_descriptor_and_no_zombie(stage: Stage) -> None:
    stage.give("server").event()
    pid = stage.processes["server"].pid
    before = len(descriptors(pid))
    for _ in range(100):
        assert stage.give("server", **JOB).event()["event"] == "listening"
    until(lambda: len(descriptors(pid)) == before)
    assert stage.child("server")


def test_a_job_with_a_namespace_is_played_there_and_the_host_stays(stage: Stage) -> None:
    with Namespace.create() as elsewhere:
        assert elsewhere.fd is not None
        stage.start("server")
        controller = stage.call("server")
        line = json.dumps(JOB | {"address": "0.0.0.0"}).encode() + b"\n"
        controller.send(line, [controller.page_descriptor, controller.log_descriptor, elsewhere.fd])
        assert controller.event()["event"] == "listening"
        host, child = stage.processes["server"].pid, stage.child("server")
        assert namespace_of(child) == os.fstat(elsewhere.fd).st_ino
        assert namespace_of(host) == namespace_of(os.getpid())
        held = descriptors(child)
    assert not [each for each in held.values() if each.startswith("net:")], "the namespace shall end with its programs"


def namespace_of(pid: int) -> int:
    return Path(f"/proc/{pid}/ns/net").stat().st_ino
