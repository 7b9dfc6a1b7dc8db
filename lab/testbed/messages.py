"""What a program says to its controller, one JSON object a line. Each value is checked before it counts as a fact.

Anybody may have written the program. So a number must be in its range and an address must be numeric; a text is cut,
and made such that it can be encoded. Anything else is no message. Whether a message is true is not decided here: the
kernel and the wire are the witnesses of that.
"""

import json
import signal
import socket
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from lab.evidence import Connected, Ended
from lab.kernel.sockets.sock_diag import join_address
from lab.spec import MAX_PAYLOAD, Role

MOST_BYTES = 1 << 53
"""Bytes of memory: up to here a JSON number is exact."""
MOST_TEXT = 500
"""The maximum of an error, in characters."""


class NotAMessageError(ValueError):
    """The line is none of the messages that a program sends."""


class Listening(NamedTuple):
    port: int


class Refused(NamedTuple):
    """The program will not play its job."""

    error: str


class Exited(NamedTuple):
    how: str


Message = Listening | Connected | Ended | Refused | Exited


def parse(line: bytes, role: Role) -> Message | None:
    """None for an event that we do not know. Raises NotAMessageError."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise NotAMessageError from None
    if not isinstance(said, dict):
        raise NotAMessageError
    try:
        return _message(said, role)
    except KeyError:
        raise NotAMessageError from None


def _message(said: Mapping[str, Any], role: Role) -> Message | None:
    match said["event"]:
        case "listening":
            return Listening(_number(said["port"], 65535, least=1))
        case "connected":
            return Connected(
                role=role,
                local=_address(said["local"]),
                remote=_address(said["remote"]),
                rcvbuf=_number(said["rcvbuf"], MOST_BYTES),
                sndbuf=_number(said["sndbuf"], MOST_BYTES),
                resident=_number_or_none(said.get("resident")),
            )
        case "ended":
            error, corrupt = said["error"], said["corrupt"]
            if not isinstance(corrupt, bool) or not (error is None or isinstance(error, str)):
                raise NotAMessageError
            return Ended(
                role=role,
                time_ns=time.time_ns(),
                sent=_number(said["sent"], MAX_PAYLOAD),
                received=_number(said["received"], 2 * MAX_PAYLOAD),
                error=None if error is None else _text(error),
                corrupt=corrupt,
                peak=_number_or_none(said.get("peak")),
            )
        case "refused":
            return Refused(_text(str(said["error"])))
        case "exited":
            return Exited(_how_it_exited(said))
        case _:
            return None


def _number(value: object, most: int, least: int = 0) -> int:
    # A JSON true is a Python bool, which is an int; and 1.0, NaN and 1e400 are floats.
    if type(value) is not int or not least <= value <= most:
        raise NotAMessageError
    return value


def _number_or_none(value: object) -> int | None:
    return None if value is None else _number(value, MOST_BYTES)


def _text(value: str) -> str:
    """A form that can be encoded: JSON may hold one half of a surrogate pair."""
    return value[:MOST_TEXT].encode(errors="backslashreplace").decode()


def _address(value: object) -> str:
    """`ip:port` of a numeric address and a port."""
    match value:
        case [str(host), port]:
            pass
        case _:
            raise NotAMessageError
    try:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except (OSError, ValueError):
        raise NotAMessageError from None
    return join_address(packed, _number(port, 65535, least=1))


def _how_it_exited(said: Mapping[str, Any]) -> str:
    if number := said.get("signal"):
        number = _number(number, signal.NSIG - 1)
        name = signal.Signals(number).name if number in list(signal.Signals) else f"signal {number}"
        return f"was killed by {name} in mid-run"
    return f"exited with status {_number(said.get('status'), 255)} in mid-run; its log says why"
