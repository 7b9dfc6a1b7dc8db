"""`lab limits`, `lab watch --once` where nothing runs, and `lab doctor`."""

from collections.abc import Iterator
from typing import Any

from machines.inside.command import lab
from machines.row import Row

NEEDED = {"python", "inet_diag", "waits"}
"""The checks that must be well for `lab run`."""
LATE = "no answer within"
"""What a check says that came to no end in its time limit."""


def play() -> Iterator[Row]:
    limits = lab("limits")["limits"]
    measured = [each for each in limits if each["measured"]]
    holds = sum(bool(each["holds"]) for each in limits)
    what = f"{len(measured)} of {len(limits)} measured"
    yield Row("limits", "all measured", what, right=len(measured) == len(limits), note=f"{holds} published claims hold")
    seen = lab("watch", "--once")
    found = f"{len(seen['connections'])} connections"
    yield Row("watch --once", "0 connections", found, right=not seen["connections"] and not seen["errors"])
    yield doctor()


def doctor(user: int | None = None) -> Row:
    """Right if `lab run` works; what else it found is told."""
    what = f"doctor{'' if user is None else ' of a user'}"
    checks = _checks(user)
    if any(LATE in check["found"] for check in checks):
        # A cold start of a busy emulation: once more, now that all is compiled and loaded.
        checks = _checks(user)
    lacking = {check["name"] for check in checks if not check["ok"]}
    note = f"not here: {', '.join(sorted(lacking))}" if lacking else ""
    works = not NEEDED & lacking
    return Row(what, "lab run works", "lab run works" if works else "it does not", right=works, note=note)


def _checks(user: int | None) -> list[dict[str, Any]]:
    checks: list[dict[str, Any]] = lab("doctor", user=user)["checks"]
    return checks
