"""The lab's commands, called as a person does, two at a time: a place has two processors."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

LIMIT_S = 180
T = TypeVar("T")


class CommandError(Exception):
    """A command did not answer with the JSON that it was asked for."""


def lab(*words: str, **options: Any) -> dict[str, Any]:
    """What `lab WORDS... --format json` prints."""
    argv = [sys.executable, "-m", "lab", *words, "--format", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False, **options)
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise CommandError(f"lab {' '.join(words)} ended with {done.returncode}: {done.stderr[-300:]}") from None
    return document


def by_two(function: Callable[..., T], each: Iterable[Any]) -> Iterator[T]:
    """In order."""
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(function, each)
