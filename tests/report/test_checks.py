"""The text of `lab doctor`."""

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO

from lab.report import checks


@dataclass(frozen=True, slots=True)
class Found:
    name: str
    ok: bool
    found: str
    remedy: str | None = None


WELL = Found("python", True, "3.11.7", "3.11 to 3.13")
ILL = Found("engine", False, "no such socket\x1b[2J: /var/run/docker.sock", "scripts/setup as root, or --testbed netns")


def told(*found: Found, may_run: bool = True, width: int = 99) -> str:
    stream = StringIO()
    checks.show(found, may_run=may_run, stream=stream, width=width)
    return stream.getvalue()


def test_the_checks_read_as_reviewed(golden: Callable[[str, str], None]) -> None:
    golden("checks", told(WELL, ILL, Found("net.core.rmem_max", True, "4194304; the host's: caps SO_RCVBUF only " * 3)))


def test_the_first_line_says_whether_the_lab_runs_here_and_all_is_well() -> None:
    assert told(WELL, WELL).startswith("lab run works here: all 2 checks are well\n")
    assert told(WELL, ILL).startswith("lab run works here; 1 of 2 checks found something: see what to do")
    assert told(WELL, ILL, may_run=False).startswith("lab run cannot work here; 1 of 2 checks found something")


def test_what_to_do_is_said_of_what_failed_only() -> None:
    assert "scripts/setup" in told(ILL)
    assert "3.13" not in told(WELL)


def test_what_was_found_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in told(ILL)


def test_a_path_is_not_broken_however_long() -> None:
    path = f"/{'deep/' * 30}runs"
    for width in (80, 99):
        shown = told(Found("runs", True, f"{path}: 10.0 GiB free", None), width=width)
        assert f"{path}:\n" in shown
