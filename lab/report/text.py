"""The report of one run: the conclusion, the picture, the witnesses, the forecast, and what to look at next."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lab.evidence import Evidence
from lab.proof.account import SUMS
from lab.proof.premises import ALWAYS
from lab.reason import Why
from lab.report import forecast, page
from lab.report.conclusion import colour, conclusion, explanation
from lab.report.escape import plain
from lab.report.picture import Picture, answers
from lab.report.reasons import all_words, folded, words
from lab.report.side import sides
from lab.report.witnesses import witnesses
from lab.spec import Grade, Outcome, Spec
from lab.verdict import Account, Verdict

STANDING = frozenset(
    {
        Outcome.DEADLOCK,
        Outcome.READ_READ,
        Outcome.ONE_SIDED_STALL,
        Outcome.BLACKHOLE,
        Outcome.LIVELOCK,
        Outcome.SUSPENDED,
        Outcome.INCONCLUSIVE,
    }
)
"""Outcomes of a pair that stands still: its state can be drawn."""

TERMS = {
    "client_accepted": "client wrote",
    "client_send_queue": "Send-Q",
    "server_receive_queue": "Recv-Q",
    "server_processed": "server read",
    "in_hand": "in hand",
    "server_send_queue": "Send-Q",
    "client_receive_queue": "Recv-Q",
    "client_processed": "client read",
}
FILTER = "tcp.analysis.zero_window || tcp.analysis.keep_alive || frame.comment"
KEEP_ALIVE = (
    "Linux probes a closed window with 0 bytes at SND.UNA-1, just as a keep-alive does: hence Wireshark's label "
    "Keep-Alive. Packets that matter carry a comment."
)
END = {
    Outcome.DEADLOCK: (
        "a read by either program, or the end of one. Time does not: while probes are answered, "
        "TCP must keep the connection (RFC 9293, MUST-37)."
    ),
    Outcome.READ_READ: "a write by either program, or the end of one. TCP sends nothing at all meanwhile, so it lasts.",
    Outcome.ONE_SIDED_STALL: "a read by the server, or the end of either program.",
}
PROOF_PAGE = "docs/proof.md"
LOG_LINES = 4
"""Lines shown of the log of a program that failed."""


def show(
    verdict: Verdict,
    evidence: Evidence,
    run: Path | None,
    expected: Sequence[Outcome],
    *,
    stream: TextIO | None = None,
    width: int | None = None,
) -> None:
    """Prints the report of one run; `expected` is empty if nothing was expected."""
    page.show(_pieces(verdict, evidence, run, expected), stream, width)


def _pieces(
    verdict: Verdict, evidence: Evidence, run: Path | None, expected: Sequence[Outcome]
) -> Iterator[RenderableType]:
    yield Text(conclusion(verdict, evidence), colour(verdict.outcome))
    if words := explanation(verdict):
        yield Text(words)
    yield from _warnings(verdict, evidence, expected)
    if verdict.outcome is Outcome.ABORTED:
        yield from _logs(evidence)
    pair = sides(evidence)
    if verdict.outcome in STANDING and evidence.snapshots:
        yield Text("")
        yield Picture(verdict.account, pair, verdict.outcome)
        yield Text("")
        yield _sums(verdict.account)
    if evidence.snapshots:
        yield Text("")
        yield witnesses(verdict, evidence, pair, standing=verdict.outcome in STANDING)
    if verdict.premises:
        yield Text("")
        yield _proof(verdict)
    yield from forecast.against(verdict, evidence)
    yield from _next(verdict, evidence, run)


def _warnings(verdict: Verdict, evidence: Evidence, expected: Sequence[Outcome]) -> Iterator[Text]:
    """What limits the conclusion, the worst first."""
    for defect in forecast.defects(verdict, evidence):
        yield Text(f"DEFECT OF THE LAB: {defect}. Please report it, with the run directory.", "bold white on red")
    if expected and verdict.outcome not in expected:
        yield Text(f"NOT AS EXPECTED: expected was {' or '.join(expected)}", "bold red")
    if evidence.capture is not None and evidence.capture.dropped:
        yield Text(
            f"not observed: {page.several(evidence.capture.dropped, 'packet')} that the capture dropped", "yellow"
        )
    live = verdict.live if verdict.outcome in STANDING else ()
    for heading, style, texts in (
        ("contradiction", "bold red", all_words(verdict.contradictions)),
        ("not observed", "yellow", all_words(verdict.missing)),
        ("true but for", "yellow", folded(verdict.qualifiers)),
        ("live thread", "yellow", tuple(f"{each.thread}, which waits in {words(each.waits_for)}" for each in live)),
    ):
        for text in texts:
            yield Text.assemble((f"{heading}: ", style), plain(text))


def what_ends(verdict: Verdict) -> str | None:
    """What would end this state, in words. None: nothing is known."""
    if verdict.outcome is not Outcome.DEADLOCK:
        return END.get(verdict.outcome)
    if verdict.holds_until_ns is not None:
        until = f"a time limit that ends a wait, but not before {page.clock(verdict.holds_until_ns)}"
        return f"a read by either program, or the end of one; else {until}."
    if any(each.reason.why is Why.TCP_GIVES_UP for each in verdict.qualifiers):
        return "a read by either program, or the end of one; else TCP itself, after tcp_retries2."
    if verdict.grade is Grade.CONSISTENT:
        return "a read by either program, which is not ruled out, or the end of one. TCP itself does not end it."
    return END[Outcome.DEADLOCK]


def _logs(evidence: Evidence) -> Iterator[RenderableType]:
    """The errors of the programs that failed, in full, and the ends of their logs."""
    for end in evidence.ended:
        if end is None or end.error is None:
            continue
        yield Text(f"  {end.role} error: {plain(end.error)}", "bold")
        for line in evidence.logs[end.role].splitlines()[-LOG_LINES:]:
            yield Text(f"  {end.role} log: {plain(line)}", "dim")


def _sums(account: Account) -> Table:
    """The two sums of the account, with their figures."""
    figures: dict[str, int | None] = asdict(account)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
    for total, parts in SUMS.values():
        if "in_hand" in parts and not answers(account):
            continue
        terms = [figures[part] for part in parts]
        left, right = figures[total], sum(term or 0 for term in terms)
        words = " + ".join(f"{page.figure(term)} {TERMS[part]}" for part, term in zip(parts, terms, strict=True))
        if left is None or None in terms:
            sign, judged = "=", Text("not checked", "yellow")
        else:
            sign, judged = ("=", Text("exact", "green")) if left == right else ("is not", Text("WRONG", "bold red"))
        table.add_row(f" {TERMS[total]}", f"{page.figure(left)} {sign} {words}", judged)
    return table


def _proof(verdict: Verdict) -> Table:
    """Why TCP alone cannot move a socket of the cycle, with its figures, and on what that stands."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
    table.add_column(width=11)
    for nth, argument in enumerate(verdict.arguments):
        table.add_row("" if nth else " proof", plain(words(argument)))
    own = [each for each in verdict.premises if each not in ALWAYS]
    stands = f"stands on what every proof does, and on {', '.join(own)}" if own else "stands on what every proof does"
    table.add_row("" if verdict.arguments else " proof", f"{stands}: {PROOF_PAGE}")
    return table


def _next(verdict: Verdict, evidence: Evidence, run: Path | None) -> Iterator[RenderableType]:
    """What would end it, and what to look at."""
    if end := what_ends(verdict):
        yield Text("")
        yield Padding(Text.assemble(("what ends it: ", "dim"), end), (0, 0, 0, 1))
    yield Text("")
    if evidence.spec is not None:
        yield from _played(evidence.spec, evidence)
    if run is not None:
        yield from _places(verdict, evidence, page.near(run))


def _played(spec: Spec, evidence: Evidence) -> Iterator[RenderableType]:
    cured = f" with {plain(spec.remedy)}" if spec.remedy else ""
    yield page.uncut(f" played     {plain(spec.scenario.name)}{cured} on {plain(spec.testbed)}")
    for key in spec.host_sysctls:
        now, before = evidence.core.get(key), evidence.core_before.get(key)
        yield page.uncut(f" host       net.core.{key} is {now} for this run, {before} without it")


def _places(verdict: Verdict, evidence: Evidence, run: Path) -> Iterator[RenderableType]:
    yield page.uncut(f" run        {run}")
    yield page.uncut(f" again      lab judge {run}")
    if evidence.capture is None:
        return
    yield page.uncut(f" packets    wireshark {run / 'wire.pcapng'}")
    if more := len(list(run.glob("wire.*.pcapng"))):
        yield page.uncut(f"            and on in wire.1.pcapng to wire.{more}.pcapng (mergecap joins them)")
    if any(verdict.wire.zero_windows):
        yield page.uncut(f" filter     {FILTER}")
    if any(verdict.wire.probes):
        yield Padding(Text(KEEP_ALIVE, "dim"), (0, 0, 0, 12))
