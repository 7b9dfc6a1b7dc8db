"""What all tests share: in CI, where everything must run, a skipped test is a failure."""

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from tests import doors

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `lab` of a wheel of this project."""
    return doors.installed(tmp_path_factory.mktemp("installed"))


def pytest_configure() -> None:
    settings.register_profile("lab", deadline=None)  # A busy machine is slow, and no test fails for that.
    settings.load_profile("lab")
    # Under nohup(1) it is ignored, and so would be by the labs that tests send it to.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _refuse_skip((yield))


def _refuse_skip(report: Report) -> Report:
    # An expected failure is reported as skipped too, and is none.
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but in CI everything must run: {report.longrepr}"
    return report
