"""`lab remedies`: plays every remedy and compares them."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from lab.cli import terminal
from lab.cli.options import Playing, RunOptions, scenario_flags, table_format_flag
from lab.errors import EnvironmentLacksError, SpecError

if TYPE_CHECKING:
    from lab.comparison import Plain
    from lab.remedy.trial import RemedyResult


@click.command(
    "remedies",
    cls=Playing,
    short_help="Play every remedy side by side.",
    examples=[
        ("lab remedies", "all remedies for upper"),
        ("lab remedies echo --remedy threads", "one, for another scenario"),
        ("lab remedies --format markdown", "as a table for a document"),
    ],
)
@scenario_flags
@table_format_flag
def command(*, form: str, **flags: Any) -> int:
    """Play SCENARIO (default: upper) with every remedy, or the one of --remedy: what cures, and at which price?

    Each is played at a payload that freezes for certain without it, and at ten times that. Takes about a minute.
    Where no buffers are asked for, and the scenario brings none, all four are 128 KiB.
    """
    from lab import comparison  # noqa: PLC0415 - pyroute2
    from lab.cli.run import chosen_testbed  # noqa: PLC0415
    from lab.kernel.place import host_settings  # noqa: PLC0415
    from lab.remedy import catalogue, find  # noqa: PLC0415
    from lab.report.progress import ProgressBar  # noqa: PLC0415

    asked = flags.pop("remedy")
    only = [find(asked).name] if asked else []
    options = RunOptions(**flags)
    testbed = chosen_testbed(options)
    if testbed == "compose" and os.geteuid() != 0:
        raise EnvironmentLacksError("lab remedies on compose needs root: it brings the pair up for each run; use netns")
    spec = comparison.bounded(options.spec(testbed))
    if not spec.scenario.freezes:
        raise SpecError(f"scenario '{spec.scenario.name}' does not freeze: upper and echo do")
    tried = []
    with host_settings.applied(spec.host_sysctls, say=terminal.error):  # for all the runs at once
        without = comparison.plain(replace(spec, host_sysctls={}))
        total = len(only) or len(catalogue())
        with ProgressBar() as bar:
            for each in comparison.compared(without, only):
                tried.append(each)
                name, effect, seconds = each.remedy.name, each.effect or "undecided", each.last.seconds
                bar.show(len(tried), total, f"{name}: {effect} after {seconds:.1f} s")
    _print(form, without, tried)
    return 0


def _print(form: str, without: "Plain", tried: "list[RemedyResult]") -> None:
    if form == "json":
        from lab.cli.output import remedies_json  # noqa: PLC0415

        click.echo(remedies_json(without.trial, tried))
        return
    from lab.report import remedies as report  # noqa: PLC0415

    name = without.spec.scenario.name
    if form == "markdown":
        terminal.echo(report.markdown(name, without.trial, without.forecast, tried))
    else:
        report.show(name, without.trial, without.forecast, tried)
