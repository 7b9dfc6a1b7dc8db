"""The text of `lab forecast`, and what refutes a forecast."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO

import pytest

from lab.forecast import Forecast, Range
from lab.report import forecast
from lab.spec import Outcome
from lab.verdict import Account
from tests.report.report_samples import COMPLETED, FROZEN, HEALTHY, evidence, spec, verdict

SEEN = Forecast(Range(8776, 27010, 164864), Range(4892, 13505, 82944), "a point, since all four buffers are fixed")
NOTHING = Forecast(Range(None, None, None), Range(None, None, None), "no amount of payload freezes scenario 'idle'")


def told(seen: Forecast, *may_be: Outcome, width: int = 99) -> str:
    stream = StringIO()
    forecast.show(spec(), seen, may_be, stream=stream, width=width)
    return stream.getvalue()


def test_the_forecast_reads_as_reviewed(golden: Callable[[str, str], None]) -> None:
    golden("forecast", told(SEEN, Outcome.DEADLOCK))


def test_both_outcomes_are_named_where_either_may_come() -> None:
    assert "completed or deadlock" in told(SEEN, Outcome.COMPLETED, Outcome.DEADLOCK).splitlines()[0]


def test_without_bounds_the_reason_stands_alone() -> None:
    shown = told(NOTHING, Outcome.IDLE)
    assert "no amount of payload" in shown
    assert "at least" not in shown


def test_no_line_is_wider_than_asked() -> None:
    assert max(map(len, told(SEEN, Outcome.DEADLOCK, width=70).splitlines())) <= 70


@pytest.mark.parametrize(("written", "refuted"), [(8775, 1), (8776, 0), (164864, 0), (164865, 1)])
def test_a_freeze_on_the_bounds_is_within_them(written: int, refuted: int) -> None:
    account = replace(FROZEN[0].account, client_accepted=written)
    assert len(forecast.defects(verdict(account=account), evidence())) == refuted


def test_a_figure_that_nobody_knows_refutes_nothing() -> None:
    assert not forecast.defects(verdict(account=Account()), evidence())
    assert not forecast.defects(*HEALTHY)


def test_a_remedy_may_well_complete_beyond_the_bounds() -> None:
    done, seen = COMPLETED
    assert forecast.defects(done, replace(seen, spec=spec()))
    assert not forecast.defects(done, replace(seen, spec=replace(spec(), remedy="a thread that reads")))
