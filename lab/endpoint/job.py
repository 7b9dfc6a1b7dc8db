"""The job that a controller gives: one JSON object, refused unless all its values make sense."""

import json
import pkgutil
import re
import socket
from collections.abc import Callable
from typing import NamedTuple

from lab.endpoint.barrier import RefusedError

MAX_C_INT = 0x7FFFFFFF
MAX_IO_SIZE = 1 << 24
MAX_PAYLOAD = 1 << 40


class Job(NamedTuple):
    """What one endpoint has to play. Sizes are in bytes."""

    behaviour: str
    family: int
    """4 or 6."""
    address: str
    """Where the server binds, where the client connects."""
    port: int
    """0 for a server: any free port; the message `listening` says which."""
    payload: int
    send_size: int
    recv_size: int
    server_block: int
    answer: str
    """`upper`, `echo` or `nothing`: what the server's program answers to each byte."""
    paced_s: float = 0.0
    """The client's pause after each send."""
    so_rcvbuf: int | None = None
    so_sndbuf: int | None = None
    nodelay: bool = False
    congestion: str | None = None


def parse(line: bytes, role: str) -> Job:
    try:
        wanted = json.loads(line)
    except (ValueError, RecursionError):
        raise RefusedError(f"not JSON: {line[:40]!r}") from None
    if not isinstance(wanted, dict):
        raise RefusedError(f"not a JSON object: {line[:40]!r}")
    for key, value in wanted.items():
        if key not in _RULES:
            raise RefusedError(f"unknown key '{key[:40]}': known are {', '.join(_RULES)}")
        fits, needs = _RULES[key]
        if not fits(value):
            raise RefusedError(f"{key} {str(value)[:80]!r}: needs {needs}")
    if lacking := [key for key in _RULES if key not in wanted and key not in Job._field_defaults]:
        raise RefusedError(f"no {', '.join(lacking)}: a job needs it")
    job = Job(**wanted)
    _check_together(job, role)
    return job


def _check_together(job: Job, role: str) -> None:
    if job.behaviour not in (known := behaviours(role)):
        raise RefusedError(f"behaviour '{job.behaviour}': a {role} knows {', '.join(known)}")
    if role == "client" and job.port == 0:
        raise RefusedError("port 0: a client needs 1 to 65535")
    try:
        socket.inet_pton(family(job), job.address)
    except (OSError, ValueError):
        raise RefusedError(f"address '{job.address[:80]}': needs a numeric IPv{job.family} address") from None


def family(job: Job) -> socket.AddressFamily:
    return socket.AF_INET if job.family == 4 else socket.AF_INET6


def behaviours(role: str) -> list[str]:
    """The modules of `lab.endpoint.server` or `lab.endpoint.client`."""
    package = __import__(f"lab.endpoint.{role}", fromlist=["__path__"])
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def _is_int(low: int, high: int) -> Callable[[object], bool]:
    # A JSON true is a Python bool, which is an int: it must not pass for 1.
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_int_or_null(low: int, high: int) -> Callable[[object], bool]:
    is_int = _is_int(low, high)
    return lambda value: value is None or is_int(value)


def _is_text(pattern: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_pause(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 60


_SIZE = (_is_int(1, MAX_IO_SIZE), f"1 to {MAX_IO_SIZE} bytes")
_BUFFER = (_is_int_or_null(1, MAX_C_INT), f"1 to {MAX_C_INT} bytes, or null")
_is_congestion = _is_text(r"[A-Za-z0-9_-]{1,15}")

_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "behaviour": (_is_text("[a-z_]{1,64}"), "a module name such as upper"),
    "family": (lambda value: _is_int(4, 6)(value) and value != 5, "4 or 6"),
    "address": (lambda value: isinstance(value, str), "a numeric address"),
    "port": (_is_int(0, 65535), "0 to 65535"),
    "payload": (_is_int(0, MAX_PAYLOAD), f"0 to {MAX_PAYLOAD} bytes"),
    "send_size": _SIZE,
    "recv_size": _SIZE,
    "server_block": _SIZE,
    "answer": (lambda value: value in ("upper", "echo", "nothing"), "upper, echo or nothing"),
    "paced_s": (_is_pause, "0 to 60 seconds"),
    "so_rcvbuf": _BUFFER,
    "so_sndbuf": _BUFFER,
    "nodelay": (lambda value: isinstance(value, bool), "true or false"),
    "congestion": (lambda value: value is None or _is_congestion(value), "a name such as cubic, or null"),
}
