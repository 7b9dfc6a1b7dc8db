"""No request, however bad, ends an endpoint or the pair that it keeps standing."""

import json
import os
import socket
import sys

import pytest

from lab.endpoint.barrier import MAX_LINE, is_identity
from tests.endpoint.endpoint_stage import JOB, SQUEEZED, Stage, descriptors, still

BAD_LINES = [
    (b"hello\n", "not JSON"),
    (b"[" * 60000 + b"\n", "not JSON"),
    (b"{}\n{}\n", "more than one line"),
    (b"{}\n", "no behaviour, family"),
    (json.dumps(JOB | {"payload": -1}).encode() + b"\n", "payload '-1': needs 0 to"),
]


def refused(stage: Stage, line: bytes, attached: list[int] | None = None) -> str:
    controller = stage.call("server")
    controller.send(line, attached)
    event = controller.event()
    assert event["event"] == "refused"
    assert controller.is_closed()
    return str(event["error"])


def test_a_bad_line_is_refused_with_its_reason_and_the_endpoint_lives_on(stage: Stage) -> None:
    stage.start("server")
    for line, why in BAD_LINES:
        assert why in refused(stage, line)
    assert stage.give("server").event()["event"] == "listening"


def test_a_job_without_two_descriptors_is_refused(stage: Stage) -> None:
    stage.start("server")
    line = json.dumps(JOB).encode() + b"\n"
    controller = stage.call("server")
    page, log = controller.page_descriptor, controller.log_descriptor
    assert "no descriptors" in refused(stage, line, [])
    assert "no descriptors" in refused(stage, line, [page])
    assert "more than three" in refused(stage, line, [page, log, log, log])
    assert "less than 4096 bytes" in refused(stage, line, [log, log])


def test_refused_callers_leave_no_descriptor_behind(stage: Stage) -> None:
    process = stage.start("server")
    refused(stage, b"x\n")
    before = descriptors(process.pid)
    for _ in range(5):
        refused(stage, b"x\n")
    assert descriptors(process.pid) == before


def test_a_line_without_end_is_refused_at_64_kibibytes(stage: Stage) -> None:
    stage.start("server")
    controller = stage.call("server")
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        controller.connection.sendall(b"x" * (MAX_LINE * 64))
    assert "more than 65536 bytes" in controller.event()["error"]


def test_a_line_may_come_in_pieces(stage: Stage) -> None:
    stage.start("server")
    controller = stage.call("server")
    line = json.dumps(JOB).encode() + b"\n"
    controller.send(line[:50])
    for byte in line[50:]:
        controller.connection.sendall(bytes([byte]))
    assert controller.event()["event"] == "listening"


def test_a_caller_that_hangs_up_early_is_forgotten(stage: Stage) -> None:
    stage.start("server")
    controller = stage.call("server")
    controller.send(b'{"behaviour"')
    controller.connection.shutdown(socket.SHUT_WR)
    assert "ended before a line" in controller.event()["error"]


PATIENT = """
import runpy, sys
from lab.endpoint import barrier
barrier.READING_S = 3600.0
sys.argv = sys.argv[4:]
runpy.run_module("lab.endpoint", run_name="__main__", alter_sys=True)
"""
"""An endpoint that gives a caller an hour to say something."""


def test_a_silent_caller_holds_nobody_up(stage: Stage) -> None:
    stage.start("server", wrapper=(sys.executable, "-S", "-c", PATIENT))
    stage.call("server")
    assert stage.give("server").event()["event"] == "listening"


def test_a_caller_that_stops_in_mid_line_is_refused_in_time(stage: Stage) -> None:
    stage.start("server")
    silent = stage.call("server")
    silent.send(b'{"behaviour"')
    assert "in time" in silent.event()["error"]
    assert silent.is_closed()


def test_more_callers_than_anyone_needs_are_refused(stage: Stage) -> None:
    stage.start("server")
    callers = [stage.call("server") for _ in range(17)]
    assert "16 controllers are ahead" in callers[-1].event()["error"]


def test_a_refused_job_leaves_the_frozen_pair_standing(stage: Stage) -> None:
    client, server = stage.play("upper", "write_then_read", payload=1 << 30, **SQUEEZED)
    still(client, server)
    child, counters = stage.child("server"), server.counters()
    assert "not JSON" in refused(stage, b"garbage\n")
    assert (stage.child("server"), server.counters()) == (child, counters)


@pytest.mark.root
def test_another_user_may_not_give_work_though_the_name_is_open_to_all(stage: Stage) -> None:
    stage.start("server")
    stage.call("server")
    os.seteuid(65534)  # The kernel notes who connects: SO_PEERCRED, unix(7).
    try:
        stranger = stage.call("server")
    finally:
        os.seteuid(0)
    assert stranger.event()["error"] == "user 65534 may not give work to a program of user 0"


@pytest.mark.parametrize("identity", ["", "a b", "a/b", "x" * 65, "\N{SNOWMAN}", "a\nb"])
def test_an_identity_that_cannot_be_a_name_is_no_identity(identity: str) -> None:
    assert not is_identity(identity)
    assert is_identity("198.18.20")
