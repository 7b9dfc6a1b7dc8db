"""`lab run`: every scenario of `lab list` on network namespaces and loopback, and the frozen pairs with other buffers."""

import subprocess
from collections.abc import Iterator
from typing import Any

from machines.inside.command import CommandError, by_two, lab
from machines.row import Row, judged, wrong

SQUEEZED = ("--tcp-rmem", "4096 8192 8192", "--tcp-wmem", "4096 8192 8192")
SOCKET = ("--so-rcvbuf", "64KiB", "--so-sndbuf", "64KiB")
SHORT = (("upper",), ("echo", *SQUEEZED), ("healthy", "--payload", "8MiB"))


def play(which: str = "all") -> Iterator[Row]:
    expected = {each["name"]: each["expected"] for each in lab("list")["scenarios"]}
    for row in by_two(lambda words: run(words, expected[words[0]]), _all(list(expected)) if which == "all" else SHORT):
        yield row


def _all(names: list[str]) -> Iterator[tuple[str, ...]]:
    for testbed in ("netns", "loopback"):
        for name in names:
            yield name, "--testbed", testbed
    for name in ("upper", "echo"):
        for options in (SQUEEZED, SOCKET, ("--ip", "6")):
            yield name, *options


def run(words: tuple[str, ...], expected: str, **options: Any) -> Row:
    what = "run " + " ".join(f"'{word}'" if " " in word else word for word in words)
    try:
        document = lab("run", *words, **options)
    except (CommandError, subprocess.TimeoutExpired) as error:
        return wrong(what, expected, str(error))
    return judged(what, document["expected"], document, ", ".join(document["missing"]))
