"""The text of `lab watch`: a table, and for each connection that stands still who waits for whom and what ends it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from lab.evidence import Wants
from lab.report import judged, page
from lab.report.conclusion import colour
from lab.report.escape import plain
from lab.report.knots import together
from lab.report.reasons import WANTS, all_words, folded, words
from lab.report.text import what_ends
from lab.spec import Grade, Outcome, Role
from lab.verdict import Edge, Verdict

DETAILED = frozenset({Outcome.DEADLOCK, Outcome.READ_READ, Outcome.LIVELOCK, Outcome.SUSPENDED, Outcome.INCONCLUSIVE})
"""Outcomes that are shown in detail."""


def show(verdicts: Sequence[Verdict], *, stream: TextIO | None = None, width: int | None = None) -> None:
    detailed = [each for each in verdicts if each.outcome in DETAILED or each.diagnosis]
    details = (piece for each in together(detailed) for piece in _pieces(each))
    page.show((*_overview(verdicts, width or page.columns()), *details), stream, width)


def _overview(verdicts: Sequence[Verdict], width: int) -> Iterator[RenderableType]:
    """A line a connection, or two where one is too narrow; those that stand still first."""
    unproven = sum(each.grade is Grade.CONSISTENT for each in verdicts)
    yield judged.conclusion(Counter(each.outcome for each in verdicts), unproven, 0)
    if not verdicts:
        return
    ordered = sorted(verdicts, key=lambda verdict: judged.rank(verdict.outcome))
    lines = page.aligned([HEADING, *map(_cells, ordered)], right={4})
    if max(line.cell_len for line in lines) > width:
        halves = [half for row in (HEADING, *map(_cells, ordered)) for half in (row[::2], (row[1], row[3], ""))]
        lines = page.aligned(halves, right={2})
    yield from lines


HEADING = ("client", "server", "outcome", "grade", "age")


def _cells(verdict: Verdict) -> tuple[str | Text, ...]:
    age = page.duration(verdict.age_s) if verdict.age_s is not None and verdict.outcome in judged.URGENCY else ""
    outcome = Text(verdict.outcome, colour(verdict.outcome))
    return verdict.client or "?", verdict.server or "?", outcome, verdict.grade or "", age


def _pieces(told: Sequence[Verdict]) -> Iterator[RenderableType]:
    """Of one connection, or of all that are in one knot."""
    verdict, *others = told
    yield Text("")
    grade = "" if verdict.grade is None else " (consistent, NOT PROVEN)"
    if verdict.grade not in (None, Grade.CONSISTENT):
        grade = f" ({verdict.grade})"
    age = "" if verdict.age_s is None else f", still for at least {page.duration(verdict.age_s)}"
    what = f"{len(told)} connections, in one circle" if others else f"{verdict.client} and {verdict.server}"
    seen = "" if verdict.seen in (None, "both") else ", one end seen"
    yield Text(f"{verdict.outcome}{grade}{seen}: {what}{age}", colour(verdict.outcome))
    buffers = [line for each in told for line in _buffers(each, named=bool(others))]
    last = () if others else _last_data(verdict)
    waits = _waits(verdict) if verdict.outcome in DETAILED else ()
    for line in (*_diagnosis(verdict), *waits, *buffers, *last, *_limits(verdict)):
        yield Padding(Text(line), (0, 0, 0, 1))


def _diagnosis(verdict: Verdict) -> Iterator[str]:
    if verdict.diagnosis:
        yield plain(words(verdict.diagnosis.summary))
        yield from (f"would read  {plain(words(each))}" for each in verdict.diagnosis.waits)
        yield from (f"next        {plain(words(each))}" for each in verdict.diagnosis.next)


def _waits(verdict: Verdict) -> Iterator[str]:
    yield from (_edge(each, "waits for") for each in verdict.cycle)
    yield from _tail(verdict.tail)
    for each in verdict.live:
        yield plain(f"live        {each.thread} waits for {words(each.waits_for)}")


def _tail(tail: Sequence[Edge]) -> Iterator[str]:
    """A line for all threads of one program that wait alike."""
    alike: dict[tuple[str, Wants, str], list[Edge]] = {}
    for each in tail:
        pid, slash, tid = each.waiter.partition("/")
        program = f"{pid} {tid.partition(' ')[2]}" if slash else each.waiter
        alike.setdefault((program, each.waits_for, each.holder), []).append(each)
    for (program, waits_for, holder), edges in alike.items():
        if len(edges) > 1:
            verb = f"hang on, for {WANTS[waits_for]}"
            yield plain(f"{len(edges)} threads of {program} {verb}: {holder} would have to act")
        else:
            yield _edge(edges[0], "hangs on, for")


def _edge(edge: Edge, verb: str) -> str:
    return plain(f"{edge.waiter} {verb} {WANTS[edge.waits_for]}: {edge.holder} would have to act")


def _buffers(verdict: Verdict, *, named: bool) -> Iterator[str]:
    """`named`: with the addresses, for they stand nowhere else."""
    if named:
        yield f"between     {verdict.client} and {verdict.server}:"
    account = verdict.account
    names = ("client Send-Q", "server Recv-Q", "server Send-Q", "client Recv-Q")
    held = (
        account.client_send_queue,
        account.server_receive_queue,
        account.server_send_queue,
        account.client_receive_queue,
    )
    yield "bytes       " + ", ".join(f"{name} {page.count(size)}" for name, size in zip(names, held, strict=True))


def _last_data(verdict: Verdict) -> Iterator[str]:
    """`still for at least` is what was seen; the kernel knows more of its own data."""
    said = []
    for role in Role:
        if last := verdict.last_data[role]:
            sent, received = (
                "never" if each is None else f"{page.duration(each)} ago" for each in (last.sent_s, last.received_s)
            )
            said.append(f"{role} sent {sent}, received {received}")
    if said:
        yield "last data   " + "; ".join(said)


def _limits(verdict: Verdict) -> Iterator[str]:
    if verdict.holds_until_ns is not None:
        yield f"holds       until {page.clock(verdict.holds_until_ns)}, when a time limit ends a wait that it rests on"
    for each in folded(verdict.qualifiers):
        yield plain(f"but for     {each}")
    for each in all_words(verdict.missing):
        yield plain(f"not seen    {each}")
    for each in all_words(verdict.contradictions):
        yield plain(f"but         {each}")
    if end := what_ends(verdict):
        yield f"ends by     {end}"
