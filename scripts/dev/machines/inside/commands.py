"""`lab limits`, `lab watch --once` where nothing runs, and `lab doctor`."""

from collections.abc import Iterator
from typing import Any

from machines.inside.command import lab
from machines.row import Row


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


def doctor(**options: Any) -> Row:
    """Right if `lab run` works; what else it found is told."""
    found = lab("doctor", **options)
    lacking = [check["name"] for check in found["checks"] if not check["ok"]]
    needed = {"python", "inet_diag", "waits"}
    note = f"not here: {', '.join(lacking)}" if lacking else ""
    works = not needed & set(lacking)
    return Row(f"doctor{" of a user" if options else ""}", "lab run works", "lab run works" if works else "it does not", right=works, note=note)
