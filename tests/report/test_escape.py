"""No text from outside steers a terminal: neither what is escaped where it is quoted, nor what slips through there."""

import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.table import Table
from rich.text import Text

from lab.evidence import CaptureCount, Ended, Evidence, Wants
from lab.reason import Qualifier, quoted
from lab.report import escape, judged, page, text, watched
from lab.spec import Grade, Outcome, Pair, Role
from lab.verdict import Edge, LiveWait, Verdict, Witness
from tests.report.report_samples import FROZEN_SOCKETS, SERVER, evidence, snapshot, spec, thread, verdict

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp\u2066\x00\r\nFORGED: all is well\u2028[red]\ud800"
STEERING = set("\x1b\x07\x9b\u202e\u2066\x00\r\u2028\ud800")


def is_shown_safely(said: str) -> bool:
    lines = said.split("\n")
    return all(line.isprintable() for line in lines) and not any(line.lstrip().startswith("FORGED") for line in lines)


def everywhere() -> tuple[Verdict, Evidence]:
    """A frozen pair of which every word that somebody else may choose is hostile."""
    said = verdict(
        grade=Grade.PROVEN,
        live=(LiveWait(HOSTILE, quoted(HOSTILE)),),
        qualifiers=(Qualifier(quoted(HOSTILE), "no-alarm"),),
        missing=(quoted(HOSTILE),),
        contradictions=(quoted(HOSTILE),),
        cycle=(Edge(HOSTILE, Wants.WRITE, HOSTILE, tuple(Witness)),),
        tail=(Edge(HOSTILE, Wants.WRITE, HOSTILE, tuple(Witness)),),
    )
    threads = tuple(thread(role, "sendto", comm=HOSTILE) for role in Role)
    seen = evidence(
        snapshots=(snapshot(FROZEN_SOCKETS, threads),),
        logs=Pair(HOSTILE, HOSTILE),
        capture=CaptureCount(HOSTILE, 9, 0),
        spec=replace(spec(), remedy=HOSTILE, testbed=HOSTILE),
    )
    return said, seen


@pytest.mark.parametrize("outcome", Outcome)
def test_the_report_of_a_run(outcome: Outcome) -> None:
    said, seen = everywhere()
    end = Ended(Role.SERVER, 5, 1, 1, HOSTILE) if outcome is Outcome.ABORTED else None
    stream = StringIO()
    told = replace(said, outcome=outcome)
    ended = replace(seen, ended=Pair(None, end))
    text.show(told, ended, None, (), stream=stream)
    assert is_shown_safely(stream.getvalue())
    assert "\\x1b[2J" in stream.getvalue()


def test_the_reports_of_many_connections() -> None:
    said, _ = everywhere()
    stream = StringIO()
    shown = judged.VerdictPage(stream)
    shown.add(HOSTILE, said, None)
    shown.close([(HOSTILE, HOSTILE), ("x", HOSTILE)])
    watched.show([said], stream=stream)
    assert is_shown_safely(stream.getvalue())
    assert stream.getvalue().count("\\x1b[2J") > 5


def test_what_nobody_has_escaped_is_escaped_on_the_page() -> None:
    """The last of the guards; markup is none at all, for it is switched off."""
    table = Table(HOSTILE)
    table.add_row(HOSTILE)
    stream = StringIO()
    page.show([Text(HOSTILE), table, page.uncut(HOSTILE), HOSTILE], stream)
    assert not STEERING & set(stream.getvalue())
    assert stream.getvalue().count("[red]") == 5


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("python", "python"),
        ("größe", "größe"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("two\nlines\r", r"two\nlines\r"),
        ("\x9b31m", r"\x9b31m"),
        ("right\u202eleft", r"right\u202eleft"),
        ("lone\udc80", r"lone\udc80"),
        ("\u2028", r"\u2028"),
    ],
)
def test_what_does_not_print_is_escaped(given: str, shown: str) -> None:
    assert escape.plain(given) == shown


def test_a_long_text_is_cut() -> None:
    assert len(escape.plain("x" * 10_000)) < 400


def test_a_json_document_stays_the_same_document() -> None:
    given = {"path": HOSTILE[:-1] + SERVER + "größe \U000e0001", HOSTILE[:-1]: [1, "\x7f"]}
    told = escape.escaped_json(json.dumps(given, ensure_ascii=False, indent=2))
    assert is_shown_safely(told)
    assert "größe" in told
    assert json.loads(told) == given


def test_a_name_that_is_no_utf_8_can_be_encoded() -> None:
    assert escape.encodable(b"\xff.pcap".decode(errors="surrogateescape")) == "\\udcff.pcap"
