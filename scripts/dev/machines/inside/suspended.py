"""The client of a frozen pair is stopped, or frozen by its cgroup: suspended, and judged anew when it goes on."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from machines.inside.command import by_two
from machines.inside.pair import SENDS_ALL, SENDS_ONCE, frozen_pair
from machines.row import Row, judged, wrong

GROUPS = Path("/sys/fs/cgroup")
LIMIT_S = 20
READS_ON = ("read-read", "idle", "moving")


@dataclass(frozen=True, slots=True)
class Hand:
    """Something from outside that stops a process and lets it go on."""

    name: str
    stop: Callable[[int], None]
    go_on: Callable[[int], None]


def play() -> Iterator[Row]:
    for found in by_two(lambda number: played(*PLAYED[number], 7000 + number), range(len(PLAYED))):
        yield from found


def played(hand: Hand, client: str, port: int) -> list[Row]:
    """What `lab watch` says of the pair before, meanwhile and afterwards."""
    what = f"watch: {hand.name}, {'one send' if client is SENDS_ONCE else 'sendall'}"
    rows: list[Row] = []
    try:
        with frozen_pair(client, port) as pair:
            rows.append(judged(f"{what}: before", ("deadlock",), pair.watched()))
            hand.stop(pair.client.pid)
            rows.append(judged(f"{what}: meanwhile", ("suspended",), pair.watched()))
            hand.go_on(pair.client.pid)
            after = READS_ON if client is SENDS_ONCE else ("deadlock",)
            rows.append(judged(f"{what}: afterwards", after, pair.watched()))
    except Exception as error:  # noqa: BLE001 - told in the table; what was seen before is kept
        rows.append(wrong(what, "to be played", f"{type(error).__name__}: {error}"))
    return rows


def _stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    _until(lambda: "\nState:\tT" in Path(f"/proc/{pid}/status").read_text())


def _continue(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)
    _until(lambda: "\nState:\tT" not in Path(f"/proc/{pid}/status").read_text())


def _freeze(pid: int) -> None:
    group = GROUPS / f"frozen-{pid}"
    group.mkdir()
    (group / "cgroup.procs").write_text(str(pid))
    (group / "cgroup.freeze").write_text("1")
    _until(lambda: "frozen 1" in (group / "cgroup.events").read_text())


def _thaw(pid: int) -> None:
    group = GROUPS / f"frozen-{pid}"
    (group / "cgroup.freeze").write_text("0")
    _until(lambda: "frozen 0" in (group / "cgroup.events").read_text())


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("it is not stopped, or does not go on")
        time.sleep(0.02)


SIGSTOP, FREEZER = Hand("SIGSTOP", _stop, _continue), Hand("cgroup v2 freezer", _freeze, _thaw)
PLAYED = ((SIGSTOP, SENDS_ONCE), (FREEZER, SENDS_ONCE), (FREEZER, SENDS_ALL))
