"""Which threads of a snapshot are blocked, which are live, and which keep house."""

from dataclasses import replace
from typing import Any

import pytest

from lab.evidence import Wait, Wants
from lab.proof.deadlock import analyse
from lab.proof.threads import Thread, threads_of, unseen
from lab.reason import Reason, Why, because
from lab.report.reasons import all_words, words
from lab.spec import Grade
from tests.proof.frozen_pair import (
    CLIENT,
    HOLDS,
    NOW,
    SECOND,
    SERVER,
    against,
    grade,
    item,
    knot,
    on,
    polls,
    reread,
    snapshot,
    thread,
)


@pytest.mark.parametrize("pid", [1, 2])
@pytest.mark.parametrize("reading", ["threads_before", "threads_after"])
@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"state": None}, "state"), ({"switches": None}, "context switches"), ({"syscall": None}, "CAP_SYS_PTRACE"),
        ({"switches": 8}, "ran between"), ({"args": (5,)}, "ran between"), ({"syscall": "running"}, "runs"),
        ({"state": "R"}, "runs"), ({"state": "D"}, "state"), ({"state": "T"}, "stopped"),
        ({"suspended": "frozen"}, "frozen"), ({"wait": polls()}, "changed"),
    ],
    ids=str,
)  # fmt: skip
def test_a_fact_of_a_thread_removed_or_reversed_leaves_no_knot(
    facts: dict[str, Any], word: str, reading: str, pid: int
) -> None:
    changed = tuple(replace(each, **facts) if each.pid == pid else each for each in (CLIENT, SERVER))
    shot = reread(reading, changed)
    assert knot(shot) is None
    assert word in against(shot)


@pytest.mark.parametrize("reading", ["threads_before", "threads_after"])
def test_a_thread_that_was_seen_only_once_is_live(reading: str) -> None:
    shot = reread(reading, (CLIENT,))
    assert knot(shot) is None
    assert "only one" in against(shot)


def test_a_thread_of_which_no_wait_is_known_is_live() -> None:
    shot = snapshot([CLIENT, thread(2, None)])
    assert knot(shot) is None
    assert "wait is not known" in against(shot)


def test_the_earlier_of_two_readings_of_a_deadline_counts() -> None:
    late = polls(item(22), deadline_ns=NOW + 30 * SECOND, timed=True)
    early = replace(late, deadline_ns=NOW + 29 * SECOND)
    shot = snapshot([CLIENT, thread(2, late)])
    found = knot(replace(shot, threads_before=(CLIENT, thread(2, early))))
    assert found is not None
    assert found.holds_until_ns == NOW + 29 * SECOND


def test_housekeeping_of_a_jvm_is_a_named_assumption() -> None:
    keeper = thread(2, Wait("futex", (), NOW + SECOND // 100, timed=True), tid=9, comm="VM Periodic Tas")
    jvm = [HOLDS[0], replace(HOLDS[1], runtime="jvm")]
    found = knot(snapshot([CLIENT, SERVER, keeper], jvm))
    assert found is not None
    assert found.grade is Grade.QUALIFIED
    assert all_words(found.qualifiers) == ("2/9 VM Periodic Tas is taken for housekeeping of the JVM",)
    assert knot(snapshot([CLIENT, SERVER, keeper])) is None, "the name alone is nothing"
    worker = replace(keeper, comm="pool-1-thread-1")
    assert knot(snapshot([CLIENT, SERVER, worker], jvm)) is None


def test_housekeeping_that_runs_may_wake_whom_it_holds_up() -> None:
    keeper = thread(2, Wait("futex", (), NOW + SECOND // 100, timed=True), tid=9, comm="VM Thread")
    jvm = [HOLDS[0], replace(HOLDS[1], runtime="jvm")]
    for awake in (
        replace(keeper, state="R"),
        replace(keeper, state="D"),
        replace(keeper, syscall="running", wait=None),
        replace(keeper, switches=None),
        replace(keeper, wait=Wait("clock_nanosleep", (), NOW + SECOND // 100, timed=True)),
    ):
        assert knot(snapshot([CLIENT, SERVER, awake], jvm)) is None, awake
    ran = snapshot([CLIENT, SERVER, keeper], jvm)
    before = tuple(replace(each, switches=6) if each.tid == 9 else each for each in ran.threads_before)
    assert knot(replace(ran, threads_before=before)) is None
    ticked = [
        replace(each, comm="VM Periodic Tas") if each.tid == 9 else each for each in (*before, *ran.threads_after)
    ]
    tick = replace(ran, threads_before=tuple(ticked[: len(before)]), threads_after=tuple(ticked[len(before) :]))
    assert grade(tick) is Grade.QUALIFIED, "nobody waits for it"


def test_sysmon_of_go_is_told_by_the_absence_of_any_go_timer() -> None:
    go = [HOLDS[0], replace(HOLDS[1], runtime="go", catches_alarm=True)]
    sysmon = thread(2, Wait("futex", (on("process:2", Wants.WAKE),), NOW + SECOND // 2, timed=True), tid=9)
    found = knot(snapshot([CLIENT, SERVER, sysmon], go))
    assert found is not None
    assert found.grade is Grade.QUALIFIED
    assert any("sysmon" in text for text in all_words(found.qualifiers))
    timer = thread(2, polls(item(22), deadline_ns=NOW + SECOND // 2, timed=True))
    assert knot(snapshot([CLIENT, timer, sysmon], go)) is None
    late = replace(sysmon, wait=Wait("futex", (), NOW + 3600 * SECOND, timed=True))
    assert grade(snapshot([CLIENT, SERVER, late], go)) is Grade.PROVEN_UNTIL
    sooner = replace(sysmon, wait=Wait("futex", (on("process:2", Wants.WAKE),), NOW + 30 * SECOND, timed=True))
    two = knot(snapshot([CLIENT, SERVER, sooner, replace(late, tid=10)], go))
    assert two is not None
    assert two.holds_until_ns == NOW + 30 * SECOND, "of two timed waits neither is taken for sysmon"


def test_a_zombie_is_no_thread() -> None:
    assert grade(snapshot([CLIENT, SERVER, thread(2, None, tid=9, state="Z")])) is Grade.PROVEN


def test_a_suspended_holder_is_told_and_leaves_no_knot() -> None:
    shot = snapshot([replace(CLIENT, state="T"), SERVER])
    found = analyse(shot, NOW)
    assert found.knots == ()
    assert all_words(found.suspended(11, 22)) == ("1/1 program is stopped",)
    assert found.suspended(33) == (), "it bears on another connection"


@pytest.mark.parametrize("reading", ["threads_before", "threads_after"])
def test_a_thread_is_suspended_if_either_reading_shows_it(reading: str) -> None:
    (first, _) = threads_of(reread(reading, (replace(CLIENT, suspended="traced"), SERVER)), NOW)
    assert (first.suspended, first.live) == ("traced", because(Why.SUSPENDED, "traced"))


def test_a_time_limit_counts_as_over_if_less_than_a_second_is_left() -> None:
    def waiting(left_ns: int) -> Thread:
        limited = polls(item(22), deadline_ns=NOW + left_ns, timed=True)
        return threads_of(snapshot([CLIENT, thread(2, limited)]), NOW)[1]

    assert waiting(SECOND).live is None
    assert waiting(SECOND).until_ns == NOW + SECOND
    assert waiting(SECOND - 1).live is not None


def test_two_readings_of_one_wait_may_differ_in_the_deadline_only() -> None:
    """It is computed from a clock each time."""
    limited = polls(item(22), deadline_ns=NOW + 9 * SECOND, timed=True)

    def reread_as(wait: Wait) -> Thread:
        shot = replace(snapshot([CLIENT, thread(2, limited)]), threads_after=(CLIENT, thread(2, wait)))
        return threads_of(shot, NOW)[1]

    assert reread_as(replace(limited, deadline_ns=NOW + 9 * SECOND + 1)).live is None
    assert reread_as(replace(limited, items=(item(22), item(33)))).live == Reason(Why.WAIT_CHANGED)
    assert reread_as(replace(limited, unknown="its memory is gone")).live == Reason(Why.WAIT_CHANGED)


def test_the_size_of_a_blocked_write_is_its_third_argument() -> None:
    sizes = [each.size for each in threads_of(snapshot([replace(CLIENT, args=(4, 0, 77)), SERVER]), NOW)]
    assert sizes == [77, None]
    (vector, _) = threads_of(snapshot([replace(CLIENT, syscall="writev", args=(4, 0, 2)), SERVER]), NOW)
    assert vector.size is None, "what writev(2) writes stands in memory"


def test_one_that_was_not_seen_is_live_and_missing_by_name() -> None:
    somebody = unseen("a holder of socket:1", Why.NO_HOLDER_SEEN)
    assert somebody.live == Reason(Why.NO_HOLDER_SEEN)
    assert somebody.missing is not None
    assert words(somebody.missing) == "a holder of socket:1: no process that was looked at holds it"
