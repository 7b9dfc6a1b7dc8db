"""`lab run`: every scenario of `lab list` on namespaces and on loopback, and the frozen pairs with other buffers."""

import re
import subprocess
from collections.abc import Iterator
from typing import Any

from machines.inside.command import CommandError, by_two, lab
from machines.row import Row, judged, wrong

Options = dict[str, tuple[str, ...]]
BUFFERS: Options = {
    "squeezed": ("--tcp-rmem", "4096 8192 8192", "--tcp-wmem", "4096 8192 8192"),
    "SO_RCVBUF, SO_SNDBUF": ("--so-rcvbuf", "64KiB", "--so-sndbuf", "64KiB"),
    "IPv6": ("--ip", "6"),
}
SHORT: Options = {
    "upper": ("upper",),
    "echo, squeezed": ("echo", *BUFFERS["squeezed"]),
    "healthy, 8 MiB": ("healthy", "--payload", "8MiB"),
}


def play(which: str = "all") -> Iterator[Row]:
    chosen = SHORT if which == "short" else _all([each["name"] for each in lab("list")["scenarios"]])
    yield from by_two(lambda name: run(name, chosen[name]), chosen)


def _all(scenarios: list[str]) -> Options:
    plain = {
        f"{name}, {testbed}": (name, "--testbed", testbed) for testbed in ("netns", "loopback") for name in scenarios
    }
    frozen = {
        f"{name}, {buffers}": (name, *options) for name in ("upper", "echo") for buffers, options in BUFFERS.items()
    }
    return plain | frozen


def run(name: str, words: tuple[str, ...], user: int | None = None) -> Row:
    """What `lab run WORDS...` came to, beside what the scenario is expected to."""
    what = f"run {name}"
    try:
        document = lab("run", *words, user=user)
    except (CommandError, subprocess.TimeoutExpired) as error:
        return wrong(what, "a verdict", str(error))
    return judged(what, document["expected"], document, _reserves(document))


def _reserves(document: dict[str, Any]) -> str:
    """What is missing, and what qualifies the proof: each once, not once a socket."""
    reserves = [*(f"missing: {each}" for each in document["missing"]), *document["qualifiers"]]
    return "; ".join(dict.fromkeys(re.sub(r" of \S+ \(\S+\)", "", each) for each in reserves))
