"""Reads a grid: a TOML file whose keys are flags of `lab run`, and the points that it means.

A list is an axis; every combination of the axes is played `repetitions` times, or `sample` of all these at random.
The points come shuffled by `seed`, so that a sweep which was interrupted covers its whole space thinly.
"""

import hashlib
import json
import math
import random
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from lab.errors import SpecError
from lab.spec import Spec

MAX_POINTS = 100_000
"""A limit on everything: at 20 points a second these are an hour and a half."""

DEFAULTS = {"until": "proof"}
"""What a sweep takes where its grid says nothing, and `lab run` something else: nobody waits for probes."""

FlagValues = Mapping[str, str]
"""Flags of `lab run`, with underscores, and their values as text; the values of both sides joined by `;`."""

Specify = Callable[[FlagValues], Spec]
"""What the command line makes of such flags: handed in, so that a flag has one meaning in the house."""


@dataclass(frozen=True, slots=True)
class Point:
    """One experiment of a sweep. Plain data: pickles, and means the same on another host."""

    key: str
    """The same for the same settings and repetition, in every sweep and on every host: a row is kept once by it."""
    settings: FlagValues
    repetition: int
    spec: Spec

    @property
    def host_global(self) -> bool:
        """Whether it changes what belongs to the whole host: one such point at a time on a host."""
        return bool(self.spec.host_sysctls)


def by_reach(points: Iterable[Point]) -> tuple[list[Point], list[Point]]:
    """Those that may be played side by side, and those that change the whole host: to be played after them."""
    shared: list[Point] = []
    alone: list[Point] = []
    for point in points:
        (alone if point.host_global else shared).append(point)
    return shared, alone


@dataclass(frozen=True, slots=True)
class Grid:
    """`axes` has the values of every flag that the file names, one or more."""

    axes: Mapping[str, tuple[str, ...]]
    repetitions: int
    seed: int
    sample: int | None

    @property
    def combinations(self) -> int:
        return math.prod(len(values) for values in self.axes.values())

    def __len__(self) -> int:
        return self.sample or self.combinations * self.repetitions

    @property
    def identity(self) -> str:
        """The same for the same points: comments and the order of keys do not matter."""
        return _digest([sorted(self.axes.items()), self.repetitions, self.seed, self.sample])

    def points(self, specify: Specify) -> Iterator[Point]:
        """All of them, in the order of play. Raises SpecError for a combination that cannot be."""
        total = self.combinations * self.repetitions
        for number in random.Random(self.seed).sample(range(total), len(self)):  # noqa: S311 - no secret
            which, repetition = divmod(number, self.repetitions)
            settings = self._settings(which)
            key = _digest([sorted(settings.items()), repetition])
            yield Point(key, settings, repetition, specify(DEFAULTS | settings))

    def _settings(self, which: int) -> dict[str, str]:
        """The combination of this number: its digits, in a number system with one base an axis."""
        settings = {}
        for key, values in self.axes.items():
            which, digit = divmod(which, len(values))
            settings[key] = values[digit]
        return settings


def parse(text: str, known: Collection[str], specify: Specify) -> Grid:
    """The grid of a TOML text. Raises SpecError with the line and an example; every single value is tried."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        why = str(error).replace("at end of document", f"at the end, line {text.count(chr(10)) + 1}")
        raise SpecError(f'no TOML: {why}; a line is KEY = VALUE, for example payload = ["1MiB", "64MiB"]') from None
    counts = {key: _count(text, key, table.pop(key)) for key in _COUNTS if key in table}
    for key in table:
        if key not in known:
            raise _refuse(text, key, f"unknown: a key is one of {', '.join(sorted({*known, *_COUNTS}))}")
    axes = {key: _axis(text, key, value) for key, value in table.items()}
    grid = Grid(axes, counts.get("repetitions", 1), counts.get("seed", 0), counts.get("sample"))
    _try_each_value(text, grid, specify)
    _check_size(text, grid)
    return grid


_COUNTS = {"repetitions": (1, 25), "seed": (0, 7), "sample": (1, 500)}
"""The keys that are no flags: the least value, and a good example."""


def _count(text: str, key: str, value: object) -> int:
    least, example = _COUNTS[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise _refuse(text, key, f"'{value}' is no whole number from {least} on, for example {key} = {example}")
    return value


def _axis(text: str, key: str, value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise _refuse(text, key, f'an axis without a value; for example {key} = ["..."], or leave the line out')
    axis = tuple(_as_text(text, key, each) for each in values)
    if doubled := [each for number, each in enumerate(axis) if each in axis[:number]]:
        raise _refuse(text, key, f"'{doubled[0]}' is there twice; repetitions = 25 plays every point 25 times")
    return axis


def _as_text(text: str, key: str, value: object) -> str:
    """As it would stand on the command line."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    raise _refuse(
        text, key, f'\'{value!s:.60}\' is no text, number or list of these, for example {key} = ["...", "..."]'
    )


def _try_each_value(text: str, grid: Grid, specify: Specify) -> None:
    """Every value of every axis, alone and then beside the first values of the others: so the line is the right one."""
    first = {key: values[0] for key, values in grid.axes.items()}
    scenario = {key: value for key, value in first.items() if key == "scenario"}
    for beside in (scenario, first):
        for key, values in grid.axes.items():
            for value in values:
                try:
                    specify(DEFAULTS | beside | {key: value})
                except SpecError as error:
                    raise _refuse(text, key, str(error)) from None


def _check_size(text: str, grid: Grid) -> None:
    total = grid.combinations * grid.repetitions
    if grid.sample is not None and grid.sample > total:
        raise _refuse(text, "sample", f"{grid.sample} of {total} points; at most all of them, or more repetitions")
    if len(grid) > MAX_POINTS:
        raise SpecError(f"{len(grid)} points: at most {MAX_POINTS}; sample = 500 draws 500 of them at random")


def _refuse(text: str, key: str, why: str) -> SpecError:
    found = re.search(rf"^[ \t]*[\[\"']*{re.escape(key)}\b", text, re.MULTILINE)
    line = text.count("\n", 0, found.start()) + 1 if found else 1
    return SpecError(f"line {line}: {key}: {why}")


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
