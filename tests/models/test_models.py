"""The rules of the stacks in models that are searched whole: never wrong, and the weaker ones are."""

import re
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

MODELS = Path(__file__).parent
LIMIT_S = 600
"""Of one search, also on a busy machine."""
LIMIT_BYTES = 2 << 30

pytestmark = pytest.mark.skipif(not shutil.which("spin"), reason="spin is not installed: scripts/setup --tests")


def search(folder: Path, model: str, *definitions: str, compiled: str = "-O0") -> tuple[str | None, int]:
    """The assertion that fails somewhere, if one does; and how many states there are.

    What fails does so soon: then it is the compiler that takes the time.
    """
    for each in MODELS.glob("*.pml"):
        shutil.copy(each, folder)
    play(folder, "spin", "-a", *(f"-D{each}" for each in definitions), f"{model}.pml")
    play(folder, "gcc", compiled, "-DSAFETY", "-DNOCLAIM", "-o", "pan", "pan.c")
    said = play(folder, "./pan", "-E", "-n", "-m100000")
    assert not re.search(r"out of memory|max search depth too small|Search not completed", said.replace(FOUND, "")), (
        said
    )
    failed = re.search(r"assertion violated +(.+?) \(at depth", said)
    states = re.search(r"(\d+) states, stored", said)
    assert states is not None, said
    assert f"errors: {int(failed is not None)}" in said, said
    return failed and failed[1], int(states[1])


FOUND = "Warning: Search not completed"
"""pan says so too where it stops at the first assertion that fails."""


def play(folder: Path, *words: str) -> str:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))

    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False, preexec_fn=limit
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


PEER_WRITES = ("UNSEEN", "ANSWERED_PROBE", "SIZES=0", "PEER_WRITES=1", "DATA=3", "BUFFER=2", "NARROW")
SIZES = ("SEEN_TO_CLOSE", "SIZES=2", "RAISE=2", "READS=0", "BUFFER=5", "FIRST=3")

SOUND = {
    "too little is free": [],
    "too little is free, whatever the clamp": ["CLAMPED"],
    "too little is free, after shutdown(SHUT_RD) too": ["SHUT_DOWN"],
    "a probe was answered, and the program reads": ["ANSWERED_PROBE", "SIZES=0"],
    "a probe was answered, and the program sets its buffer": ["ANSWERED_PROBE", "READS=0"],
    "the window was seen to close": ["SEEN_TO_CLOSE"],
    "the window was seen to close, and the buffer in each size": [*SIZES],
    "too little is free, of a window that is not told": ["UNSEEN"],
    "the kernel's own choice, of a window that is not told": ["UNSEEN", "BY_SCALE"],
    "an answered probe, of a window that is not told": ["UNSEEN", "ANSWERED_PROBE"],
    "the same, of a peer that sends data": [*PEER_WRITES],
    "an answered probe, of a peer that lowers its clamp": ["UNSEEN", "ANSWERED_PROBE", "CLAMP_LOWERED"],
}

UNSOUND = {
    "both windows are 0": ["BOTH_WINDOWS_0"],
    "the sender knows of no window": ["NO_RCV_WND"],
    "two readings without the byte counts": ["NO_COUNTERS"],
    "two readings while the program may run": ["UNFROZEN"],
    "what has arrived of a flight is of no account": ["NO_RECEIVED"],
    "any little is too little": ["LOOSE"],
    "the window was seen to close, whatever the buffer's size was meanwhile": [*SIZES, "NO_RESET"],
    "whatever the clamp": ["CLAMPED", "NO_CLAMP"],
    "no probe was answered": ["ANSWERED_PROBE", "NO_ANSWER"],
    "any acknowledgment answers a probe": ["ANSWERED_PROBE", "ANY_ANSWER=1"],
    "an answered probe, of any buffer": ["ANSWERED_PROBE", "NO_AS_IT_WAS"],
    "an answered probe, of a window that is not told": ["UNSEEN", "ANSWERED_PROBE", "BARE"],
    "the buffer as it was since the answer came, not since it was sent": ["ANSWERED_PROBE", "HEARD_ON_ARRIVAL"],
    "a buffer that is only as full as it was": ["UNSEEN", "ANSWERED_PROBE", "SIZES=0", "NO_CONTENT"],
    "data that is sent again answers a probe": [*PEER_WRITES, "ANY_SEGMENT"],
    "the peer sends nothing again once it was read": [*PEER_WRITES, "ANY_FLIGHT"],
    "an answered probe, whatever the clamp is now": ["UNSEEN", "ANSWERED_PROBE", "CLAMP_LOWERED", "NO_CLAMP"],
}

REACHED = {
    "bytes move before": ["MOVES_BEFORE"],
    "closed": ["REACHED=1"],
    "closed, with a flight that was refused": ["REACHED=REFUSED"],
    "an answered probe": ["ANSWERED_PROBE", "REACHED=1"],
    "seen to close": ["SEEN_TO_CLOSE", "REACHED=1"],
}


ONE_SMALL_SEGMENT = {
    "it fits the buffer, and what is free then is too little": [],
    "the same, of a buffer that may have been raised": ["SIZES=1"],
}

MORE_THAN_ONE_SMALL_SEGMENT = {
    "the head of the queue may fit the window": ["NO_PERSIST"],
    "something may be in flight": ["NO_FLIGHT"],
    "two readings without the byte counts": ["NO_COUNTERS", "NO_RECEIVED"],
    "the packet may take more than there is room for": ["NO_MEMORY"],
    "whatever is free then": ["NO_SHUT", "SIZES=1"],
}

TIMERS = ("PACKET=1", "BUFFER=1", "FIRST=2", "ANSWER=2", "NARROW", "PROMPT", "UNIT=4")

READER = [*TIMERS, "READER"]

STARVED = {
    "no acknowledgment reaches the writer": [*TIMERS],
    "nothing new reaches its peer": [*READER],
}

HEARS = {
    "an older acknowledgment may be under way": [*TIMERS, "NO_TIME_OUT"],
    "an older acknowledgment may be under way to whoever has something new": [*READER, "NO_TIME_OUT"],
    "something new may be under way": [*READER, "NO_BACKOFF"],
    "something new may be sent again": [*READER, "NO_REPEATS"],
    "the window may be open": [*TIMERS, "NO_CLOSED"],
    "nothing may be unread": [*TIMERS, "READS=1", "NO_UNREAD"],
    "whatever is free": ["PROMPT", "NARROW", "READS=1", "NO_SHUT"],
    "all may have arrived": [*TIMERS, "NO_BEYOND"],
    "the first of its packets may have arrived, and is sent again": [*TIMERS, "NO_HEAD"],
    "the same, to whoever has something new": [*READER, "NO_HEAD"],
    "however far beyond the window": [*TIMERS[:-1], "UNIT=1", "NO_UNIT"],
    "from Linux 7.0 on": [*TIMERS, "FROM_7_0"],
}


def holds(folder: Path, model: str, definitions: list[str]) -> None:
    failed, states = search(folder, model, *definitions, compiled="-O1")
    assert failed is None
    assert states > 10_000


def is_refuted(folder: Path, model: str, definitions: list[str]) -> None:
    failed, _ = search(folder, model, *definitions)
    assert failed is not None
    assert "!(proven)" in failed


def is_reached(folder: Path, model: str, definitions: list[str]) -> None:
    failed, _ = search(folder, model, *definitions)
    assert failed is not None
    assert "!(proven)" not in failed


@pytest.mark.parametrize("rule", SOUND)
def test_no_byte_moves_after_a_rule_has_called_a_window_closed(rule: str, tmp_path: Path) -> None:
    holds(tmp_path, "closed_window", SOUND[rule])


@pytest.mark.parametrize("rule", UNSOUND)
def test_a_rule_without_one_of_its_conditions_is_refuted(rule: str, tmp_path: Path) -> None:
    is_refuted(tmp_path, "closed_window", UNSOUND[rule])


@pytest.mark.parametrize("what", REACHED)
def test_what_the_models_are_about_does_happen_in_them(what: str, tmp_path: Path) -> None:
    is_reached(tmp_path, "closed_window", REACHED[what])


@pytest.mark.parametrize("rule", ONE_SMALL_SEGMENT)
def test_one_small_segment_moves_and_no_byte_after_it(rule: str, tmp_path: Path) -> None:
    holds(tmp_path, "small_segment", ONE_SMALL_SEGMENT[rule])


@pytest.mark.parametrize("rule", MORE_THAN_ONE_SMALL_SEGMENT)
def test_more_than_one_small_segment_moves_without_one_of_the_conditions(rule: str, tmp_path: Path) -> None:
    is_refuted(tmp_path, "small_segment", MORE_THAN_ONE_SMALL_SEGMENT[rule])


def test_a_window_for_one_small_segment_does_happen(tmp_path: Path) -> None:
    is_reached(tmp_path, "small_segment", ["REACHED=1"])


@pytest.mark.parametrize("rule", STARVED)
def test_nothing_reaches_whoever_starvation_is_claimed_of(rule: str, tmp_path: Path) -> None:
    holds(tmp_path, "ack_starvation", STARVED[rule])


@pytest.mark.parametrize("rule", HEARS)
def test_something_does_where_one_condition_of_starvation_is_left_out(rule: str, tmp_path: Path) -> None:
    is_refuted(tmp_path, "ack_starvation", HEARS[rule])


def test_starvation_does_happen(tmp_path: Path) -> None:
    is_reached(tmp_path, "ack_starvation", [*TIMERS, "REACHED=1"])
