"""What came of a sweep, in a few lines."""

import re

import pytest

from lab.report.swept import OutcomeCount, Swept, show

SWEPT = Swept(
    points=500,
    counts=(OutcomeCount("deadlock", "proven", 300), OutcomeCount("completed", None, 199)),
    failed=1,
    first_failure="the server's program\x1b went away",
    wrong=0,
    files=("out/points.csv", "out/cliff.png"),
)


def test_the_counts_the_failures_and_the_files_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    show(SWEPT, 400, 20.0)
    said = capsys.readouterr().out
    assert said.startswith("400 points played in 20.0 s, 20.0 a second, 100 were there already\n")
    assert re.search(r"^ +300  deadlock \(proven\)$", said, re.MULTILINE)
    assert re.search(r"^ +199  completed$", said, re.MULTILINE)
    assert r"the first: the server's program\x1b went away" in said
    assert re.search(r"^ +0  on the wrong side of the forecast$", said, re.MULTILINE)
    assert said.endswith(" out/points.csv\n out/cliff.png\n")
