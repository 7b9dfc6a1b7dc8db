"""`lab run`: turns its flags into a spec, has it played and judged, prints the verdict and exits with its code."""

import importlib
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab.cli import terminal
from lab.cli.command import RESULT, flag
from lab.cli.options import Playing, RunOptions, format_flag, host_sysctls, run_flags, runs_flag, scenario_flags
from lab.errors import EnvironmentLacksError, ExitCode, SpecError, StoreError
from lab.installation import default_runs
from lab.spec import Outcome

if TYPE_CHECKING:
    from lab.evidence import Evidence
    from lab.kernel.place.helper_process import HelperProcess
    from lab.playing import Played

PREFERRED = "netns"


@click.command(
    "run",
    cls=Playing,
    short_help="Play a scenario and judge it.",
    codes={
        ExitCode.DONE: "as expected",
        ExitCode.OTHERWISE: "another outcome",
        ExitCode.INCONCLUSIVE: "inconclusive: a fact is missing, and named",
    },
    examples=[
        ("lab run", "the published freeze, with this kernel's own buffers"),
        ("lab run echo --remedy selectors --payload 10MiB", "another scenario, cured"),
        ("lab run --tcp-rmem '4096 8192 8192' --so-sndbuf client=64KiB", "small buffers"),
    ],
)
@scenario_flags
@run_flags
@flag("--hold", group=RESULT, is_flag=True, help="leave the pair standing until Ctrl-C")
@flag(
    "--expect",
    group=RESULT,
    type=click.Choice([each.value for each in Outcome]),
    metavar="OUTCOME",
    help="exit 0 for this outcome only",
)
@format_flag
@runs_flag
def command(*, hold: bool, expect: str | None, form: str, runs: Path | None, **flags: Any) -> int:
    """Play SCENARIO (default: upper) and judge it."""
    options = RunOptions(**flags)
    spec = options.spec(chosen_testbed(options))
    if spec.testbed == "compose" and os.geteuid() != 0:
        from lab.testbed import compose  # noqa: PLC0415

        return compose.through_the_controller(spec, _environment(), sys.stdout, sys.stderr)
    from lab.testbed import Startup, find  # noqa: PLC0415

    helper = click.get_current_context().obj
    startup = Startup(partial(_load, form, helper), helper)
    with find(spec.testbed).site(spec, terminal.error, startup) as site:
        from lab.playing import play_and_judge  # noqa: PLC0415
        from lab.report import live  # noqa: PLC0415

        with live.ProgressDisplay() as display:

            def show(evidence: "Evidence") -> None:
                if helper is not None:
                    helper.close()  # the pair plays, so it is not needed any more
                display.show(evidence)

            played = play_and_judge(spec, site=site, runs=runs or default_runs(), on_progress=show)
        expected = (Outcome(expect),) if expect else played.expected
        document = _report(played, expected, form)
        if hold:
            click.echo(document, nl=bool(document))
            document = ""
            _hold(site.standing)
    # Printed after everything is taken down: if that fails, the exit code is 4 and there is no document.
    click.echo(document, nl=bool(document))
    if played.verdict.outcome in expected:
        return ExitCode.DONE
    return ExitCode.INCONCLUSIVE if played.verdict.outcome is Outcome.INCONCLUSIVE else ExitCode.OTHERWISE


def _report(played: "Played", expected: tuple[Outcome, ...], form: str) -> str:
    """Print the text of the report, or return its JSON document. Raises StoreError if the disk was full."""
    verdict, evidence, run, document = played.verdict, played.evidence, played.run, ""
    assert run is not None
    if form == "text":
        from lab.report import text  # noqa: PLC0415

        text.show(verdict, evidence, run, expected)
    elif played.unkept is None:
        from lab.cli.output import run_json  # noqa: PLC0415

        document = run_json(verdict, evidence, run, expected)
    if played.unkept is not None:
        name = verdict.outcome if verdict.grade is None else f"{verdict.outcome} ({verdict.grade})"
        raise StoreError(f"{played.unkept}; judged from memory: {name}; --runs gives another folder")
    return document


def _load(form: str, helper: "HelperProcess | None") -> None:
    """Import what a run needs, while there is nothing else to do. A helper process imports scapy itself."""
    from lab.kernel.place import machine  # noqa: PLC0415

    for room in ("playing", "report.live", "report.text" if form == "text" else "cli.output"):
        importlib.import_module(f"lab.{room}")
    if helper is None:
        machine.load_scapy()


def chosen_testbed(options: RunOptions) -> str:
    """The testbed that was asked for, else the best that works here; one line says so if it is not netns."""
    if options.testbed:
        return options.testbed
    from lab.kernel.place import sysctl  # noqa: PLC0415
    from lab.kernel.place.netns import may_make_namespaces  # noqa: PLC0415

    why = may_make_namespaces()
    if why is None:
        return PREFERRED
    try:
        options.spec("loopback")
    except SpecError as error:
        raise EnvironmentLacksError(f"{why}, so there is loopback only, and {error}") from None
    sysctl.require_writable_core(host_sysctls(options.host_sysctl))
    terminal.error(f"{why}: playing on loopback, with socket options instead of sysctls")
    return "loopback"


def _environment() -> dict[str, str]:
    """The flags of this call as the environment variables that mean the same."""
    context = click.get_current_context()
    found = {}
    for parameter in context.command.params:
        value, variable = context.params.get(parameter.name or ""), parameter.envvar
        if not isinstance(variable, str) or value in (None, (), False):
            continue
        found[variable] = ";".join(map(_text, value)) if isinstance(value, tuple) else _text(value)
    return found


def _text(value: object) -> str:
    """What the flag of this value takes."""
    if isinstance(value, float):
        return f"{value:.9f}"  # never 1e-05
    return "1" if value is True else str(value)


def _hold(standing: str) -> None:
    try:
        terminal.echo(f"The pair stands: {standing}. Ctrl-C ends it.", err=True)
        signal.pause()
    except KeyboardInterrupt:
        return
