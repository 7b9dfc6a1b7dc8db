"""What can go wrong, sorted by whose fault it is; each kind has its exit code."""

from typing import ClassVar


class LabError(Exception):
    """One line for a person: what is wrong and what to do. `exit_code` is the documented one."""

    exit_code: ClassVar[int] = 5


class SpecError(LabError):
    """What was asked for is impossible: a bad value, an unknown name, two flags that exclude each other."""

    exit_code = 2


class EnvironmentLacksError(LabError):
    """This machine cannot do it: a privilege, an engine, a kernel feature or a program is missing."""

    exit_code = 4


class TestbedError(LabError):
    """The place broke away in mid-run: a killed endpoint, a dead engine, a vanished namespace."""

    exit_code = 4


class StoreError(LabError):
    """A run directory cannot be written."""

    exit_code = 4


class BadInputError(LabError):
    """A file that was given cannot be judged: no capture, no run directory, or damaged."""

    exit_code = 2
