"""`lab run`: every scenario of `lab list` on namespaces and on loopback, and the frozen pairs with other buffers.

On loopback it is the command, as a person calls it; on namespaces one process plays them all.
"""

import subprocess
from collections.abc import Iterator

from machines.inside import warm
from machines.inside.command import CommandError, by_two, lab
from machines.inside.warm import BUFFERS, words
from machines.row import Row, judged, reserves, wrong

SHORT: dict[str, warm.Options] = {
    "upper": {"scenario": "upper"},
    "echo, squeezed": {"scenario": "echo", **BUFFERS["squeezed"]},
    "healthy, 8 MiB": {"scenario": "healthy", "payload": "8MiB"},
}


def play(which: str = "all") -> Iterator[Row]:
    if which == "short":
        yield from by_two(lambda name: run(name, words(SHORT[name])), SHORT)
        return
    scenarios = [each["name"] for each in lab("list")["scenarios"]]
    with warm.player() as player:
        for name, options in _on_namespaces(scenarios):
            yield player(f"run {name}", options)
    yield from by_two(lambda name: run(f"{name}, loopback", (name, "--testbed", "loopback")), scenarios)


def _on_namespaces(scenarios: list[str]) -> Iterator[tuple[str, warm.Options]]:
    for name in scenarios:
        yield f"{name}, netns", {"scenario": name}
    for name in ("upper", "echo"):
        for buffers, options in BUFFERS.items():
            yield f"{name}, {buffers}", {"scenario": name, **options}


def run(name: str, arguments: tuple[str, ...], user: int | None = None) -> Row:
    """What `lab run ARGUMENTS...` came to, beside what the scenario is expected to."""
    what = f"run {name}"
    try:
        document = lab("run", *arguments, user=user)
    except (CommandError, subprocess.TimeoutExpired) as error:
        return wrong(what, "a verdict", str(error))
    return judged(what, document["expected"], document, reserves(document))
