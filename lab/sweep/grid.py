"""Reads a grid, a TOML file whose keys are flags of `lab run`, and makes its points.

A list is an axis. Every combination of the axes is played `repetitions` times; with `sample`, so many of these points
are drawn at random. `seed` shuffles them, so that an interrupted sweep covers its whole space thinly.
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
"""At 20 points a second these take an hour and a half."""

DEFAULTS = {"until": "proof"}
"""Defaults of a sweep that differ from those of `lab run`: it does not wait for probes."""

FlagValues = Mapping[str, str]
"""Values as text, by flag of `lab run` with underscores; the values of a repeated flag are joined by `;`."""

Specify = Callable[[FlagValues], Spec]
"""What makes a spec of such flags. The command line passes it in, so that a flag has one meaning."""


@dataclass(frozen=True, slots=True)
class Point:
    """One experiment of a sweep: plain data that can be pickled and played on another host."""

    key: str
    """The same for the same settings and repetition in every sweep and on every host. The table has one row a key."""
    settings: FlagValues
    repetition: int
    spec: Spec

    @property
    def host_global(self) -> bool:
        """Whether it changes settings of the whole host: a host plays one such point at a time."""
        return bool(self.spec.host_sysctls)


def by_reach(points: Iterable[Point]) -> tuple[list[Point], list[Point]]:
    """The points that may be played side by side, and those that change the whole host, which come after them."""
    shared: list[Point] = []
    alone: list[Point] = []
    for point in points:
        (alone if point.host_global else shared).append(point)
    return shared, alone


@dataclass(frozen=True, slots=True)
class Grid:
    """`axes` has one value or more for every flag in the file."""

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
        """A hash that is the same for the same points, whatever the comments and the order of the keys."""
        return _digest([sorted(self.axes.items()), self.repetitions, self.seed, self.sample])

    def points(self, specify: Specify) -> Iterator[Point]:
        """All points, in the order of play. Raises SpecError for an impossible combination."""
        total = self.combinations * self.repetitions
        for number in random.Random(self.seed).sample(range(total), len(self)):  # noqa: S311 - no secret
            which, repetition = divmod(number, self.repetitions)
            settings = self._settings(which)
            key = _digest([sorted(settings.items()), repetition])
            yield Point(key, settings, repetition, specify(DEFAULTS | settings))

    def _settings(self, which: int) -> dict[str, str]:
        """The combination of this number: its digits are the indices, and the lengths of the axes their bases."""
        settings = {}
        for key, values in self.axes.items():
            which, digit = divmod(which, len(values))
            settings[key] = values[digit]
        return settings


def parse(text: str, known: Collection[str], specify: Specify) -> Grid:
    """The grid of a TOML text. Tries every value, and raises SpecError with the line and an example."""
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
"""The keys that are no flags: the minimum value, and a good example."""


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
    """The value as on the command line."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    raise _refuse(
        text, key, f'\'{value!s:.60}\' is no text, number or list of these, for example {key} = ["...", "..."]'
    )


def _try_each_value(text: str, grid: Grid, specify: Specify) -> None:
    """Try every value of every axis, alone and then with the first values of the others: so an error has its line."""
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
