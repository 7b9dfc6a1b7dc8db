"""What can go wrong, sorted by whose fault it is; each kind has its exit code."""

import difflib
from collections.abc import Collection
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """The documented exit codes of every command. If several apply: 5 before 4, 2, 1, 3 and 0."""

    DONE = 0
    """A run as expected; no deadlock found."""
    OTHERWISE = 1
    """A run with another outcome; a deadlock found."""
    BAD_INPUT = 2
    INCONCLUSIVE = 3
    ENVIRONMENT = 4
    """This machine cannot do it, or it broke away in mid-run."""
    DEFECT = 5
    """The lab itself failed."""
    INTERRUPTED = 130


class LabError(Exception):
    """One line for a person: what is wrong and what to do. `exit_code` is the documented one."""

    exit_code: ClassVar[ExitCode] = ExitCode.DEFECT


class SpecError(LabError):
    """What was asked for is impossible: a bad value, an unknown name, two flags that exclude each other."""

    exit_code = ExitCode.BAD_INPUT


class EnvironmentLacksError(LabError):
    """This machine cannot do it: a privilege, an engine, a kernel feature or a program is missing."""

    exit_code = ExitCode.ENVIRONMENT


class TestbedError(LabError):
    """The place broke away in mid-run: a killed endpoint, a dead engine, a vanished namespace."""

    exit_code = ExitCode.ENVIRONMENT


class StoreError(LabError):
    """A run directory cannot be written."""

    exit_code = ExitCode.ENVIRONMENT


class BadInputError(LabError):
    """A file that was given cannot be judged: no capture, no run directory, or damaged."""

    exit_code = ExitCode.BAD_INPUT


def unknown(kind: str, name: str, known: Collection[str]) -> SpecError:
    """The error for a name that is none of `known`, with the nearest of them."""
    nearest = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=1)
    hint = f"did you mean '{nearest[0]}'?" if nearest else f"there are {', '.join(known)}"
    return SpecError(f"unknown {kind} '{name[:80]}': {hint}")
