"""The types of flags' values. A value that is none is refused with the name of its flag; completion knows the names.

The text of every value, `str(value)`, is one that the flag takes: so a run can be handed on by environment variables.
"""

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Generic, TypeVar

import click
from click.shell_completion import CompletionItem

from lab.errors import SpecError
from lab.spec import Grade, Outcome, Role, Triple, Until, parse_duration, parse_size, refuse_impossible

T = TypeVar("T")


class Parsed(click.ParamType):  # type: ignore[type-arg]  # a generic class for the type checker alone
    """A value that a function makes of the text."""

    envvar_list_splitter = ";"

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except SpecError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True, slots=True)
class Sided(Generic[T]):
    """A value for both sides, or for one: `client=V` or `server=V`."""

    value: T
    role: Role | None = None

    def __str__(self) -> str:
        return f"{self.role}={self.value}" if self.role else str(self.value)

    def is_for(self, role: Role) -> bool:
        return self.role in (None, role)


@dataclass(frozen=True, slots=True)
class Setting:
    """A key and its value, as in `tcp_sack=0`."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


@dataclass(frozen=True, slots=True)
class Alarm:
    """Which verdicts raise an alarm: an outcome, and of a deadlock which grades, as in `deadlock/proven*`."""

    outcome: str
    grade: str | None = None
    """With `*` for any letters."""

    def __str__(self) -> str:
        return f"{self.outcome}/{self.grade}" if self.grade else self.outcome

    def is_for(self, outcome: Outcome, grade: Grade | None) -> bool:
        return outcome == self.outcome and (self.grade is None or fnmatchcase(grade or "", self.grade))


def _alarm(text: str) -> Alarm:
    outcome, slash, grade = text.strip().partition("/")
    if outcome not in tuple(Outcome) or (slash and outcome != Outcome.DEADLOCK):
        raise SpecError(f"'{text[:80]}': needs an outcome, for example one-sided-stall, or deadlock/proven*")
    if slash and not any(fnmatchcase(each, grade) for each in Grade):
        raise SpecError(f"'{text[:80]}': no grade is {grade[:40]}; there are {', '.join(Grade)}")
    return Alarm(outcome, grade or None)


def sided(name: str, parse: Callable[[str], T]) -> Parsed:
    def parse_sided(text: str) -> Sided[T]:
        role, equals, rest = text.partition("=")
        if equals and role in tuple(Role):
            return Sided(parse(rest.strip()), Role(role))
        return Sided(parse(text.strip()))

    return Parsed(name, parse_sided)


def _setting(text: str) -> Setting:
    key, equals, value = text.partition("=")
    if not equals or not value.strip():
        raise SpecError(f"'{text[:80]}': needs KEY=VALUE, for example tcp_sack=0")
    return Setting(key.strip().removeprefix("net.ipv4."), " ".join(value.split()))


def _host_setting(text: str) -> Setting:
    """Of `net.core`, in bytes."""
    key, equals, value = text.partition("=")
    if not equals or not value.strip():
        raise SpecError(f"'{text[:80]}': needs KEY=VALUE, for example net.core.rmem_max=131071")
    key, size = key.strip().removeprefix("net.core."), parse_size(value)
    refuse_impossible({key: size})
    return Setting(key, str(size))


def _switch(text: str) -> int:
    if text not in ("0", "1"):
        raise SpecError(f"'{text[:80]}': needs 1 or 0, or one side's, for example client=1")
    return int(text)


def _until(text: str) -> Until | float:
    if text in tuple(Until):
        return Until(text)
    try:
        return parse_duration(text)
    except SpecError:
        raise SpecError(f"'{text[:80]}': needs proof, probes, or seconds, for example 5") from None


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _address(text: str) -> Address:
    host, _, port = text.strip().rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535 or (":" in host and not host.startswith("[")):
        raise SpecError(f"'{text[:80]}': needs [HOST:]PORT, for example 9750, 0.0.0.0:9750 or [::1]:9750")
    return Address(host.strip("[]") or "127.0.0.1", int(port))


SIZE = Parsed("size", parse_size)
ALARM = Parsed("alarm", _alarm)
DURATION = Parsed("duration", parse_duration)
ADDRESS = Parsed("address", _address)
UNTIL = Parsed("until", _until)
HOST_SETTING = Parsed("setting", _host_setting)
SIDED_TRIPLE = sided("triple", Triple.parse)
SIDED_SIZE = sided("size", parse_size)
SIDED_SETTING = sided("setting", _setting)
SIDED_SWITCH = sided("switch", _switch)
SIDED_TEXT = sided("text", str)


class Repeated(click.ParamType):  # type: ignore[type-arg]
    """A text that may be given several times. An environment variable joins the values by `;`."""

    name = "value"
    envvar_list_splitter = ";"


class RepeatedNumber(click.IntRange):
    """A number that may be given several times, likewise."""

    envvar_list_splitter = ";"


class Named(click.ParamType):  # type: ignore[type-arg]
    """A name of a catalogue: a mistyped one is refused with the nearest, and completion knows all."""

    def __init__(self, kind: str) -> None:
        self.name = kind

    def _room(self) -> Any:
        """`lab.scenario`, `lab.remedy` or `lab.testbed`; importing one takes time, and few commands need it."""
        return importlib.import_module(f"lab.{self.name}")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            self._room().find(value)
        except SpecError as error:
            self.fail(str(error), param, ctx)
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        return [CompletionItem(name) for name in self._room().catalogue() if name.startswith(incomplete)]


SCENARIO, REMEDY, TESTBED = Named("scenario"), Named("remedy"), Named("testbed")
