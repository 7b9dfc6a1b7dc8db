"""The text of `lab remedies`, and its table in Markdown."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO

import pytest

from lab.forecast import Forecast, Range
from lab.remedy import find
from lab.remedy.trial import RemedyResult, Trial
from lab.report import remedies
from lab.spec import Outcome, Pair, Role
from lab.verdict import Account

FROZEN = Trial(
    payload=1 << 30,
    outcome=Outcome.DEADLOCK,
    seconds=0.69,
    memory=Pair(32768, None),
    fullest=Account(493928, 162632, 97904, 233392, 136, 134664, 114976, 0),
    zero_windows=Pair(3, None),
    errors=(),
    frozen=(Role.CLIENT, Role.SERVER),
)
WENT = replace(FROZEN, payload=656_400, outcome=Outcome.COMPLETED, seconds=0.1, zero_windows=Pair(3, 4), frozen=())
FORECAST = Forecast(Range(186581, 501412, 656384), Range(101364, 250706, 328704), "a point")
TRIED = (
    RemedyResult(find("alternate"), (WENT, replace(WENT, payload=16 << 20, seconds=20.0))),
    RemedyResult(find("threads"), (WENT, replace(WENT, payload=16 << 20, seconds=2.5))),
    RemedyResult(find("bigger-buffers"), (WENT, FROZEN)),
    RemedyResult(
        find("send-timeout"),
        (replace(FROZEN, outcome=Outcome.ABORTED, errors=("client: EAGAIN: no room",), frozen=(Role.SERVER,)),),
    ),
    RemedyResult(find("selectors"), (FROZEN,)),
)


def test_all_remedies_stand_side_by_side(stream: StringIO, golden: Callable[[str, str], None]) -> None:
    remedies.show("upper", FROZEN, FORECAST, TRIED, stream)
    golden("remedies", stream.getvalue())
    assert all(len(line) < 100 for line in stream.getvalue().splitlines())


def test_no_figure_is_cut_in_80_columns(stream: StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    account = Account(16_777_216, 16_442_012, 16_442_013, 16_442_014, 16_442_015, 16_442_016, 16_442_017, 0)
    result = RemedyResult(find("nonblocking-naive"), (replace(FROZEN, fullest=account),))
    remedies.show("upper", FROZEN, FORECAST, (result,), stream)
    for figure in set(range(16_442_012, 16_442_018)) - {account.server_processed}:
        assert f"{figure:,}" in stream.getvalue()
    assert "…" not in stream.getvalue()
    assert all(len(line) <= 80 for line in stream.getvalue().splitlines())


def test_a_class_other_than_expected_is_told_first_and_loudly(stream: StringIO) -> None:
    remedies.show("upper", FROZEN, FORECAST, TRIED, stream)
    second = stream.getvalue().splitlines()[1]
    assert second == "NOT AS EXPECTED: selectors hides, and was expected to: cures"


def test_the_markdown_is_one_table_with_every_column() -> None:
    text = remedies.markdown("upper", FROZEN, FORECAST, TRIED)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(TRIED)
    assert len({row.count("|") for row in rows}) == 1
    assert "| threads | cures | completed | 16 MiB | 2.50 s | 100% |" in text
    assert "NOT AS EXPECTED: selectors" in text


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "?"), (0, "0 B"), (1023, "1,023 B"), (1024, "1 KiB"), (656400, "641 KiB"), (1023 << 10, "1023 KiB")],
)
def test_a_size_has_three_digits_and_a_unit(number: int | None, text: str) -> None:
    assert remedies.size(number) == text
