"""What the tests of reports share: a page in memory, and golden texts that write themselves when told to.

`LAB_GOLDEN=write pytest tests/report` rewrites tests/report/golden; the change is then reviewed as a diff.
"""

import os
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The person who runs the tests may have set colour and width."""
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def stream() -> StringIO:
    return StringIO()


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    return _compare


def _compare(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("LAB_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs: LAB_GOLDEN=write rewrites it, for review as a diff"
