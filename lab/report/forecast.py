"""Where the freeze must come, in figures: the text of `lab forecast`, and the forecast beside what a run measured."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lab.forecast import Forecast, Range
from lab.report import page
from lab.report.escape import plain
from lab.spec import Outcome, Spec

if TYPE_CHECKING:  # `lab forecast` has neither
    from lab.evidence import Evidence
    from lab.verdict import Verdict

BOUNDED = ("written by the client", "read by the server")
"""What a reader calls `client_accepted` and `server_processed`."""


def show(
    spec: Spec,
    seen: Forecast,
    may_be: Sequence[Outcome],
    *,
    stream: TextIO | None = None,
    width: int | None = None,
) -> None:
    """Print the forecast for settings that were not played."""
    page.show(_alone(spec, seen, may_be), stream, width)


def against(verdict: "Verdict", evidence: "Evidence") -> Iterator[RenderableType]:
    """The forecast beside the measured bytes if the pair froze, else in words."""
    if evidence.spec is None or not evidence.spec.scenario.freezes:
        return
    foretold = verdict.forecast
    yield Text("")
    if verdict.outcome is Outcome.DEADLOCK:
        yield _table(foretold, (verdict.account.client_accepted, verdict.account.server_processed))
        yield Padding(Text(plain(foretold.reason), "dim"), (0, 0, 0, 1))
    else:
        yield Padding(Text.assemble(("forecast: ", "dim"), _in_words(foretold)), (0, 0, 0, 1))


def defects(verdict: "Verdict", evidence: "Evidence") -> tuple[str, ...]:
    """Where a measurement refutes the forecast: one of the two is wrong, and both are the lab's."""
    if verdict.outcome is Outcome.DEADLOCK:
        measured = (verdict.account.client_accepted, verdict.account.server_processed)
        bounds = (verdict.forecast.client_accepted, verdict.forecast.server_processed)
        return tuple(
            f"{number:,} bytes {what}, and the forecast promised {_interval(each)}"
            for what, number, each in zip(BOUNDED, measured, bounds, strict=True)
            if _within(number, each) is False
        )
    if verdict.outcome is not Outcome.COMPLETED or evidence.spec is None or evidence.spec.remedy is not None:
        return ()
    most, payload = verdict.forecast.client_accepted.high, evidence.spec.scenario.load.payload
    if most is not None and payload > most:
        return (f"{payload:,} bytes went through, and the forecast promised that no more than {most:,} can",)
    return ()


def _alone(spec: Spec, seen: Forecast, may_be: Sequence[Outcome]) -> Iterator[RenderableType]:
    payload, name = spec.scenario.load.payload, spec.scenario.name
    yield Text(f"{name} with {payload:,} bytes: {' or '.join(may_be)}", "bold")
    yield Text(_in_words(seen) if seen.client_accepted.low is not None else plain(seen.reason))
    if seen.client_accepted.low is None:
        return
    yield Text("")
    yield _table(seen, None)
    yield Text("")
    yield Padding(Text(plain(seen.reason)), (0, 0, 0, 1))


def _in_words(seen: Forecast) -> str:
    bounds = seen.client_accepted
    if bounds.low is None or bounds.high is None:
        return plain(seen.reason)
    return f"up to {bounds.low:,} bytes this can never freeze; beyond {bounds.high:,} it never completes"


def _table(seen: Forecast, measured: tuple[int | None, ...] | None) -> Table:
    """Low, point and high, and beside them the measured bytes of a run, if there is one."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column(" forecast in bytes", overflow="fold")
    for heading in ("at least", "likely", "at most", *(("measured", "") if measured else ())):
        table.add_column(heading, justify="right" if heading else "left", overflow="fold")
    for row, (what, bounds) in enumerate(zip(BOUNDED, (seen.client_accepted, seen.server_processed), strict=True)):
        cells = [Text(f" {what}"), *(Text(_cell(each)) for each in (bounds.low, bounds.point, bounds.high))]
        if measured:
            cells += [Text(page.count(measured[row]), "bold"), _word(_within(measured[row], bounds))]
        table.add_row(*cells)
    return table


def _cell(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _word(within: bool | None) -> Text:
    if within is None:
        return Text("not checked", "yellow")
    return Text("within", "green") if within else Text("OUTSIDE", "bold red")


def _within(number: int | None, bounds: Range) -> bool | None:
    if number is None or bounds.low is None or bounds.high is None:
        return None
    return bounds.low <= number <= bounds.high


def _interval(bounds: Range) -> str:
    return f"{_cell(bounds.low)} to {_cell(bounds.high)}"
