"""A job is taken as it was given, or refused with the key, the value and what it needs."""

import json
import socket
from typing import Any

import pytest

from lab.endpoint.barrier import RefusedError
from lab.endpoint.job import Job, behaviours, family, parse
from tests.endpoint.endpoint_stage import JOB, ROOT

BAD_LINES = [
    (b"hello", "not JSON"),
    (b"\xff\xfe", "not JSON"),
    (b"[" * 60000, "not JSON"),
    (b"", "not JSON"),
    (b"[]", "not a JSON object"),
    (b"{}", "no behaviour, family"),
]

BAD_VALUES: list[tuple[dict[str, object], str]] = [
    ({"surprise": 1}, "unknown key 'surprise'"),
    ({"behaviour": "uper"}, "a server knows after_request, echo, silent, slow_reader, spools, upper"),
    ({"behaviour": "../x"}, "needs a module name"),
    ({"behaviour": "__init__"}, "a server knows"),
    ({"family": 5}, "needs 4 or 6"),
    ({"family": True}, "needs 4 or 6"),
    ({"family": 6}, "needs a numeric IPv6 address"),
    ({"address": "localhost"}, "needs a numeric IPv4 address"),
    ({"address": "127.0.0.1\0"}, "needs a numeric IPv4 address"),
    ({"port": 65536}, "needs 0 to 65535"),
    ({"payload": -1}, "needs 0 to"),
    ({"payload": 2**40 + 1}, "needs 0 to"),
    ({"payload": 1.5}, "needs 0 to"),
    ({"send_size": 0}, "needs 1 to"),
    ({"recv_size": None}, "needs 1 to"),
    ({"server_block": "1024"}, "needs 1 to"),
    ({"answer": "lower"}, "needs upper, echo or nothing"),
    ({"answer": ["upper"]}, "needs upper, echo or nothing"),
    ({"paced_s": float("nan")}, "needs 0 to 60 seconds"),
    ({"paced_s": -1}, "needs 0 to 60 seconds"),
    ({"so_rcvbuf": 0}, "needs 1 to"),
    ({"so_sndbuf": 2**31}, "needs 1 to"),
    ({"nodelay": 1}, "needs true or false"),
    ({"congestion": "a b"}, "needs a name such as cubic"),
]

GIVEN: dict[str, Any] = JOB | {
    "paced_s": 0.003,
    "so_rcvbuf": 4096,
    "so_sndbuf": None,
    "nodelay": True,
    "congestion": "cubic",
}


def line(job: dict[str, Any]) -> bytes:
    return json.dumps(job).encode()


def why_not(job: bytes, role: str = "server") -> str:
    with pytest.raises(RefusedError) as refused:
        parse(job, role)
    return str(refused.value)


def test_every_value_of_a_job_arrives() -> None:
    assert parse(line(GIVEN), "server")._asdict() == GIVEN


def test_what_is_not_given_is_left_to_the_kernel() -> None:
    job = parse(line(JOB), "server")
    assert (job.paced_s, job.so_rcvbuf, job.so_sndbuf, job.nodelay, job.congestion) == (0.0, None, None, False, None)


@pytest.mark.parametrize(("job", "why"), BAD_LINES)
def test_a_line_that_is_no_job_is_refused(job: bytes, why: str) -> None:
    assert why in why_not(job)


@pytest.mark.parametrize(("change", "why"), BAD_VALUES)
def test_a_value_that_makes_no_sense_is_refused_with_what_it_needs(change: dict[str, object], why: str) -> None:
    assert why in why_not(line(JOB | change))


@pytest.mark.parametrize("key", JOB)
def test_a_key_without_a_default_is_asked_for(key: str) -> None:
    assert f"no {key}: " in why_not(line({other: value for other, value in JOB.items() if other != key}))


def test_only_a_server_may_leave_its_port_to_the_kernel() -> None:
    assert parse(line(JOB | {"port": 0}), "server").port == 0
    assert "port 0" in why_not(line(JOB | {"behaviour": "idle", "port": 0}), "client")


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_behaviour_is_a_module_of_its_side(role: str) -> None:
    modules = {path.stem for path in (ROOT / "lab/endpoint" / role).glob("*.py")} - {"__init__"}
    assert set(behaviours(role)) == modules
    for behaviour in modules:
        assert parse(line(JOB | {"behaviour": behaviour, "port": 1060}), role).behaviour == behaviour


def test_a_refusal_quotes_no_more_than_a_line_of_what_was_given() -> None:
    for job in (b"x" * 5000, line(JOB | {"x" * 5000: 1}), line(JOB | {"address": "1" * 5000})):
        assert len(why_not(job)) < 400


@pytest.mark.parametrize(
    ("number", "address", "wanted"), [(4, "127.0.0.1", socket.AF_INET), (6, "::1", socket.AF_INET6)]
)
def test_an_address_is_one_of_its_family(number: int, address: str, wanted: socket.AddressFamily) -> None:
    job: Job = parse(line(JOB | {"family": number, "address": address}), "server")
    assert family(job) is wanted
