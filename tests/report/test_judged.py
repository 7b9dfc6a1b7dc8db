"""Many verdicts in one table."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO

from lab.report.judged import VerdictPage
from lab.spec import Grade, Pair
from lab.verdict import Verdict
from tests.report.report_samples import COMPLETED, FROZEN, INCONCLUSIVE, READ_READ, verdict

RUNS: list[tuple[str | None, Verdict]] = [
    ("runs/20261122T180338Z-upper-315673", COMPLETED[0]),
    ("captures/deep/below/some-capture-with-a-long-name.pcapng", FROZEN[0]),
    (None, INCONCLUSIVE[0]),
    ("runs/20261122T180340Z-read-read-aa7f01", READ_READ[0]),
    ("v6.pcap", verdict(client="[2001:2::c612:1414]:54542", server="[2001:2::c612:140a]:1060", grade=Grade.PROVEN)),
]
ERRORS = [("x.pcap", "x.pcap: not a capture"), ("y", "cut short\x1b[2J")]


def told(verdicts: list[tuple[str | None, Verdict]], errors: list[tuple[str, str]], width: int = 99) -> str:
    stream = StringIO()
    shown = VerdictPage(stream, width)
    for path, each in verdicts:
        shown.add(path, each, None)
    shown.close(errors)
    return stream.getvalue()


def test_the_table_reads_as_reviewed(golden: Callable[[str, str], None]) -> None:
    golden("judged", told(RUNS, ERRORS))


def test_no_line_is_wider_than_asked() -> None:
    for width in (80, 99):
        assert max(map(len, told(RUNS, ERRORS, width).splitlines())) <= width


def test_a_path_is_never_broken_and_said_once_for_all_its_connections() -> None:
    path = f"captures/{'deep/' * 30}some.pcap.gz"
    frozen = FROZEN[0]
    for width in (80, 99):
        lines = told([(path, frozen), (path, frozen), ("b.pcap", frozen)], [], width).splitlines()
        assert [line for line in lines if "pcap" in line] == [path, "b.pcap"]


def test_no_figure_is_cut_however_large() -> None:
    windows: Pair[int | None] = Pair(1_234_567_890, 16_442_012)
    probes: Pair[int | None] = Pair(98_765_432, 12_345_678)
    wire = replace(FROZEN[0].wire, zero_windows=windows, probes=probes)
    six = "[2001:2:1234:5678:9abc:def0:c612:1414]:54542"
    huge = replace(FROZEN[0], wire=wire, client=six, server=six)
    shown = told([("a.pcap", huge)], [], 80)
    for piece in ("1,234,567,890, 16,442,012", "98,765,432, 12,345,678", six):
        assert piece in shown


def test_connections_that_froze_come_first() -> None:
    shown = told(RUNS, [])
    places = [shown.index(text) for text in ("captures/deep", "v6.pcap", "20261122T180340Z", "20261122T180338Z")]
    assert places == sorted(places)


def test_the_first_line_counts_the_outcomes() -> None:
    first = told(RUNS, ERRORS).splitlines()[0]
    assert first.startswith("5 connections: 2 deadlock, 1 read-read, 1 inconclusive, 1 completed")
    assert "(1 NOT PROVEN)" in first
    assert "2 not judged" in first


def test_what_could_not_be_judged_is_named_once() -> None:
    shown = told([], ERRORS)
    assert "not judged: x.pcap: not a capture" in shown
    assert r"not judged: y: cut short\x1b[2J" in shown
