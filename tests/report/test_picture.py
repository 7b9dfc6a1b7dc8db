"""The loop of four buffers: what stops on each step, and what goes on."""

from dataclasses import replace
from io import StringIO

import pytest

from lab.evidence import Evidence
from lab.report import page
from lab.report.picture import NARROW, WIDE, Picture, answers
from lab.report.side import sides
from lab.verdict import Account, Verdict
from tests.report.report_samples import FROZEN, ONE_SIDED, READ_READ

STOP = "╳"  # noqa: RUF001 - the cross of the drawing


def drawn(case: tuple[Verdict, Evidence], width: int = 99) -> list[str]:
    stream = StringIO()
    page.show([Picture(case[0].account, sides(case[1]), case[0].outcome)], stream, width)
    return stream.getvalue().splitlines()


def test_every_step_of_a_deadlock_is_stopped() -> None:
    assert "\n".join(drawn(FROZEN)).count(STOP) == 6


def test_a_read_read_deadlock_is_stopped_only_where_the_programs_read() -> None:
    shown = "\n".join(drawn(READ_READ))
    assert (shown.count(STOP), shown.count("empty"), shown.count("window 0")) == (2, 2, 0)


def test_a_one_sided_stall_is_stopped_on_one_lane_only() -> None:
    shown = drawn(ONE_SIDED)
    assert [line.count(STOP) for line in shown if "▶" in line or "◀" in line] == [3, 0]
    assert "in hand" not in "\n".join(shown)


@pytest.mark.parametrize("width", [WIDE.whole + 1, NARROW.whole + 1])
def test_the_picture_is_a_rectangle(width: int) -> None:
    boxed = [line for line in drawn(FROZEN, width) if line.startswith((" │", " ╭", " ╰"))]
    assert len(boxed) == 9
    assert {len(line) for line in boxed} == {width}


def test_a_column_too_few_takes_the_smaller_form() -> None:
    assert "server receive queue" in drawn(FROZEN, WIDE.whole + 1)[0]
    assert "server receive queue" not in drawn(FROZEN, WIDE.whole)[0]
    assert "┌" not in "".join(drawn(FROZEN, NARROW.whole))


def test_a_figure_that_nobody_knows_is_a_question_mark() -> None:
    unknown = "\n".join(drawn((replace(FROZEN[0], account=Account()), FROZEN[1])))
    assert unknown.count("?") == 8
    assert "bytes" not in unknown


def test_a_server_without_answers_is_told_from_one_that_nobody_counted() -> None:
    assert answers(Account())
    assert answers(FROZEN[0].account)
    assert not answers(ONE_SIDED[0].account)
