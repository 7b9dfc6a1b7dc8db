"""The lab's commands, called as a person does, two at a time: a place has two processors."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict, TypeVar

LIMIT_S = 180
T = TypeVar("T")


class Credentials(TypedDict, total=False):
    """What subprocess needs to start a program as another user."""

    user: int
    group: int
    extra_groups: tuple[int, ...]


def of(user: int | None) -> Credentials:
    return Credentials() if user is None else Credentials(user=user, group=user, extra_groups=())


class CommandError(Exception):
    """A command did not answer with the JSON that it was asked for."""


def lab(*words: str, user: int | None = None) -> dict[str, Any]:
    """What `lab WORDS... --format json` prints to that user (root if none is given)."""
    argv = [sys.executable, "-m", "lab", *words, "--format", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False, **of(user))
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise CommandError(f"lab {' '.join(words)} ended with {done.returncode}: {done.stderr[-300:]}") from None
    return document


def by_two(function: Callable[..., T], each: Iterable[Any]) -> Iterator[T]:
    """In order."""
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(function, each)
