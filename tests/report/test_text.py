"""The report of one run, as a person reads it."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from lab.evidence import CaptureCount, Evidence
from lab.reason import Qualifier, Why, because, quoted
from lab.report import text
from lab.spec import Grade, Outcome
from lab.verdict import LiveWait, Verdict
from tests.report.report_samples import (
    ABORTED,
    AUTOTUNED,
    COMPLETED,
    CONTRADICTION,
    FROZEN,
    HEALTHY,
    INCONCLUSIVE,
    ONE_SIDED,
    PROVEN,
    READ_READ,
    SERVER,
    UNCAPTURED,
    evidence,
    spec,
    verdict,
)

Case = tuple[Verdict, Evidence]
RUN = Path("runs/20261122T180338Z-upper-315673")
CASES: dict[str, Case] = {
    "frozen": FROZEN,
    "proven": PROVEN,
    "autotuned": AUTOTUNED,
    "completed": COMPLETED,
    "healthy": HEALTHY,
    "inconclusive": INCONCLUSIVE,
    "read-read": READ_READ,
    "contradiction": CONTRADICTION,
    "uncaptured": UNCAPTURED,
    "aborted": ABORTED,
    "one-sided": ONE_SIDED,
}


def told(case: Case, *, width: int = 99, expected: tuple[Outcome, ...] = (), run: Path | None = RUN) -> str:
    stream = StringIO()
    text.show(*case, run, expected, stream=stream, width=width)
    return stream.getvalue()


@pytest.mark.parametrize("name", CASES)
def test_the_report_reads_as_reviewed(name: str, golden: Callable[[str, str], None]) -> None:
    golden(name, told(CASES[name], expected=(CASES[name][0].outcome,)))


@pytest.mark.parametrize("name", ["frozen", "completed"])
def test_the_report_is_still_sane_at_80_columns(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{name}-80", told(CASES[name], width=80))


@pytest.mark.parametrize("width", [60, 80, 99])
@pytest.mark.parametrize("name", CASES)
def test_no_line_is_wider_than_asked_but_for_those_to_copy(name: str, width: int) -> None:
    for line in told(CASES[name], width=width).splitlines():
        assert len(line) <= width or line.startswith((" packets ", " filter ", " run ", " again ")), line


@pytest.mark.parametrize("name", CASES)
def test_no_line_reaches_100_columns(name: str) -> None:
    assert max(map(len, told(CASES[name]).splitlines())) < 100


@pytest.mark.parametrize("name", CASES)
def test_the_first_line_is_the_conclusion(name: str) -> None:
    first = told(CASES[name]).splitlines()[0]
    assert first.startswith(CASES[name][0].outcome.replace("one-sided-stall", "one-sided stall"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"grade": Grade.PROVEN}, "or the end of one. Time does not"),
        ({"grade": Grade.CONSISTENT}, "a read by either program, which is not ruled out"),
        ({"grade": Grade.PROVEN_UNTIL, "holds_until_ns": 86_400 * 10**9}, "not before 1970-01-02 00:00:00.000 UTC."),
        (
            {
                "grade": Grade.QUALIFIED,
                "qualifiers": (Qualifier(because(Why.TCP_GIVES_UP, "1/1 a"), "probes-keep-connection"),),
            },
            "else TCP itself, after tcp_retries2.",
        ),
    ],
)
def test_time_ends_what_holds_until_an_instant_and_what_tcp_gives_up(changes: dict[str, Any], says: str) -> None:
    assert says in (text.what_ends(verdict(**changes)) or "")


def test_a_consistent_deadlock_says_in_its_first_line_that_it_is_not_proven_and_what_would_decide() -> None:
    first = told(FROZEN).splitlines()[0]
    assert "NOT PROVEN" in first
    assert "would decide" in first
    workers = ("21442/21450 worker", "21442/21451 worker")
    waiting = verdict(live=tuple(LiveWait(worker, quoted("futex")) for worker in workers))
    first, *rest = told((waiting, evidence())).splitlines()
    assert "2 live threads" in first
    assert any("21442/21450 worker" in line for line in rest)


def test_a_proof_names_the_argument_of_each_socket_with_its_figures_and_what_it_stands_on() -> None:
    shown = " ".join(told(PROVEN).split())
    assert f"proof {SERVER} (socket:158051): the peer's window is closed for good; 8632 bytes queued" in shown
    assert "the peer takes one small segment more, and nothing after it; 5568 bytes queued" in shown
    assert "send buffer at most 8192, less than a third free stands on what every proof does, and on " in shown
    assert "and on window-selection, send-buffer-growth: docs/proof.md" in shown
    assert (Path(__file__).parents[2] / text.PROOF_PAGE).is_file()
    assert "premises" not in told(FROZEN), "it is not proven"


def test_a_proven_deadlock_is_not_called_unproven() -> None:
    assert "NOT PROVEN" not in told((verdict(grade=Grade.PROVEN), evidence()))


def test_all_four_buffers_are_drawn_with_their_bytes() -> None:
    lines = told(FROZEN).splitlines()
    there = next(line for line in lines if "4,736 bytes" in line)
    back = next(line for line in lines if "5,928 bytes" in line)
    assert there.index("4,736") < there.index("6,144")
    assert back.index("5,928") < back.index("7,800")
    assert (there.count("window 0"), back.count("window 0")) == (1, 1)


def test_a_terminal_too_narrow_for_the_picture_gets_the_same_figures_as_a_list() -> None:
    shown = told(FROZEN, width=60)
    assert "┌" not in shown
    for figure in ("4,736", "6,144", "7,800", "5,928"):
        assert figure in shown


@pytest.mark.parametrize("name", CASES)
def test_a_narrow_terminal_breaks_a_figure_and_never_cuts_it(name: str) -> None:
    assert "\N{HORIZONTAL ELLIPSIS}" not in told(CASES[name], width=40)


def test_a_sum_that_does_not_hold_is_loud() -> None:
    assert told(FROZEN).count("exact") == 2
    shown = told(CONTRADICTION)
    assert "is not 14,144 server read" in shown
    assert "WRONG" in shown
    assert "contradiction: " in shown


def test_a_freeze_outside_the_forecast_is_a_defect_of_the_lab() -> None:
    assert "DEFECT" not in told(FROZEN)
    shown = told(AUTOTUNED)
    assert shown.count("DEFECT OF THE LAB") == 2
    assert "OUTSIDE" in shown


def test_a_completion_beyond_the_forecast_is_a_defect_of_the_lab() -> None:
    done, seen = COMPLETED
    assert "DEFECT" not in told(COMPLETED)
    assert "DEFECT OF THE LAB" in told((done, evidence(spec=spec(), ended=seen.ended)))


def test_an_unexpected_outcome_is_said_before_anything_else_is_shown() -> None:
    shown = told(FROZEN, expected=(Outcome.COMPLETED,))
    assert shown.index("NOT AS EXPECTED: expected was completed") < shown.index("┌")
    assert "EXPECTED" not in told(FROZEN, expected=(Outcome.COMPLETED, Outcome.DEADLOCK))


def test_dropped_packets_are_named_as_missing() -> None:
    assert "not observed: 3 packets that the capture dropped" in told(
        (verdict(), evidence(capture=CaptureCount("eth0", 39, 3)))
    )


def test_what_is_missing_is_named() -> None:
    shown = told(UNCAPTURED)
    assert "3 facts not observed" in shown.splitlines()[0]
    assert "CAP_NET_RAW" in shown
    assert "not captured" in shown
    assert "wireshark" not in shown


def test_a_log_cannot_steer_the_terminal() -> None:
    shown = told(ABORTED)
    assert "\x1b" not in shown
    assert r"\x1b[31mreset" in shown


def test_a_run_that_was_not_stored_names_no_place() -> None:
    assert "wire.pcapng" not in told(FROZEN, run=None)


def test_a_setting_of_the_whole_host_is_shown_with_what_it_is_without_the_run() -> None:
    tuned = replace(spec(), host_sysctls={"rmem_max": 131071})
    changes = {"core": {"rmem_max": "131071"}, "core_before": {"rmem_max": "4194304", "wmem_max": "4194304"}}
    said = told((verdict(), evidence(spec=tuned, **changes)))
    assert " host       net.core.rmem_max is 131071 for this run, 4194304 without it\n" in said
    assert "wmem_max" not in said


def test_of_programs_that_the_lab_did_not_start_no_plan_is_told() -> None:
    said = told((FROZEN[0], evidence(spec=None)))
    assert " played " not in said
    assert "forecast" not in said
