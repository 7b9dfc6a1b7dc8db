"""Runs with `--host-sysctl`, ended at random instants: whatever the signal, `lab restore` leaves the host as it was.

Long form: `python -m tests.killed 100 [netns|compose]`, as root. The values differ from this host's own by a few bytes,
so that nobody else on it notices.
"""

import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lab.kernel.place import journal
from lab.kernel.place.sysctl import read_core
from tests.commanded import ending, lab, started
from tests.waiting import until

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
NO_ENGINE = "unix:///nonexistent/docker.sock"
LONGEST_S = {"netns": 1.2, "compose": 5.0}
"""A run that is left alone takes somewhat less."""


@dataclass(frozen=True, slots=True)
class Killed:
    """What was seen of one run: whether a journal lay there when the signal was sent, and after the run's end."""

    signal: str
    noted: bool
    left: bool
    before: dict[str, str]
    after: dict[str, str]
    """Once `lab restore` was through, as is `files`."""
    files: list[str]
    """What is left beside the journal's place."""

    @property
    def clean(self) -> bool:
        return self.after == self.before and not self.files


def killed(seed: int, runs: Path, testbed: str = "netns", net: str = "198.18.100") -> Killed:
    """One run, ended at an instant of its own; in every second, at one right after the journal has appeared."""
    chance = random.Random(seed)
    before = read_core()
    keys = chance.sample(sorted(before), chance.randint(1, len(before)))
    options = [f"--host-sysctl=net.core.{key}={int(before[key]) - chance.randint(1, 64)}" for key in keys]
    engine = {} if testbed == "compose" else {"DOCKER_HOST": NO_ENGINE}
    number = signal.SIGKILL if seed % 4 == 1 else chance.choice(SIGNALS)
    instant_s = chance.uniform(0, LONGEST_S[testbed])
    lab_run = started(
        "run", "--testbed", testbed, "--until", "proof", "--net", net, "--runs", runs, *options,
        LAB_STATE=str(journal.path()), **engine,
    )  # fmt: skip
    try:
        if seed % 2:
            until(lambda: _noted() or lab_run.poll() is not None, pause_s=0.0005)
            instant_s = chance.expovariate(1 / 0.002)  # the writes come within a millisecond or two
        time.sleep(instant_s)
        noted = _noted()
    finally:
        lab_run.send_signal(number)
        ending(lab_run)
    left = _noted()
    restored = lab("restore", LAB_STATE=str(journal.path()), **engine)
    assert restored.code == 0, restored.err
    return Killed(number.name, noted, left, before, read_core(), _files())


def _files() -> list[str]:
    return os.listdir(journal.path()) if journal.path().exists() else []


def _noted() -> bool:
    return (journal.path() / journal.NAME).exists()


def main(many: int, testbed: str) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background programs ignore it
    all_of_them = []
    with tempfile.TemporaryDirectory() as runs:
        for seed in range(many):
            all_of_them.append(killed(seed, Path(runs), testbed))
            if not all_of_them[-1].clean:
                print("NOT AS BEFORE:", all_of_them[-1], flush=True)
    clean = sum(each.clean for each in all_of_them)
    print(f"{testbed}: as before in {clean} of {many}")
    for what in ("signal", "noted", "left"):
        print(what, dict(Counter(str(getattr(each, what)) for each in all_of_them)))
    return 0 if clean == many else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *(sys.argv[2:] or ["netns"])))
