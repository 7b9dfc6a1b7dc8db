"""`lab run`: plays one scenario, prints the verdict, leaves a run directory."""

import importlib
import os
import platform
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab.cli import terminal
from lab.cli.options import Playing, RunOptions, flag, format_flag, host_sysctls, run_flags, scenario_flags
from lab.errors import EnvironmentLacksError, SpecError, StoreError
from lab.spec import Outcome, Spec

if TYPE_CHECKING:
    from lab.kernel.place.helper_process import HelperProcess
    from lab.verdict import Verdict

INCONCLUSIVE, OTHERWISE = 3, 1
PREFERRED = "netns"
PACKAGES = ("scapy", "pyroute2", "docker", "msgspec")


@click.command("run", cls=Playing)
@scenario_flags
@run_flags
@flag("--hold", is_flag=True, help="leave the pair standing until Ctrl-C")
@flag(
    "--expect",
    type=click.Choice([each.value for each in Outcome]),
    metavar="OUTCOME",
    help="exit 0 for this outcome only",
)
@format_flag
@flag("--runs", type=click.Path(path_type=Path), default=None, metavar="DIR", help="where run directories lie")
def command(*, hold: bool, expect: str | None, form: str, runs: Path | None, **flags: Any) -> int:
    """Play SCENARIO (default: upper) and judge it."""
    wish = RunOptions(**flags)
    testbed = chosen_testbed(wish)
    spec = wish.spec(testbed)
    if testbed == "compose" and os.geteuid() != 0:
        from lab.testbed import compose  # noqa: PLC0415

        return compose.through_the_controller(spec, _environment(), sys.stdout, sys.stderr)
    aside = click.get_current_context().obj
    return _play(spec, aside, hold=hold, expect=expect, form=form, runs=runs or _default_runs())


def _play(spec: Spec, aside: "HelperProcess | None", *, hold: bool, expect: str | None, form: str, runs: Path) -> int:
    from lab import testbed  # noqa: PLC0415

    aid = testbed.Startup(partial(_load, form, aside), aside)
    document = ""
    with ExitStack() as stack:
        site = stack.enter_context(testbed.find(spec.testbed).site(spec, terminal.error, aid))
        from lab import store  # noqa: PLC0415
        from lab.experiment import play  # noqa: PLC0415
        from lab.forecast import expected, forecast  # noqa: PLC0415
        from lab.proof.judge import judge  # noqa: PLC0415
        from lab.report import live  # noqa: PLC0415

        shown = stack.enter_context(live.Live())
        run = store.Run.create(runs, spec)
        evidence = None
        try:
            for evidence in play(spec, site, run.record):
                if aside is not None:
                    aside.close()  # it has done its part: the pair plays
                run.extend(evidence)
                shown.show(evidence)
        except BaseException:
            # Interrupted, or the place broke away: what was seen so far can still be judged.
            if evidence is None:
                run.discard()
            else:
                run.finish(evidence, None, _host(site.notes))
            raise
        assert evidence is not None
        verdict = judge(evidence)
        unkept = None
        try:
            run.finish(evidence, verdict, _host(site.notes))
        except StoreError as error:
            unkept = error
        shown.close()
        seen = forecast(spec, evidence.settings, evidence.core)
        may_be = (Outcome(expect),) if expect else expected(spec, seen)
        if form == "json" and unkept is None:
            from lab.cli.output import run_json  # noqa: PLC0415

            document = run_json(verdict, evidence, run.path, may_be)
        elif form == "text":
            from lab.report import text  # noqa: PLC0415

            text.show(verdict, evidence, run.path, may_be)
        if unkept is not None:
            raise StoreError(f"{unkept}; judged from memory: {_named(verdict)}; --runs gives another folder")
        if hold:
            click.echo(document, nl=bool(document))
            document = ""
            _hold(site.standing)
    # Once all is taken down: there is no document with an exit code 4.
    click.echo(document, nl=bool(document))
    if verdict.outcome in may_be:
        return 0
    return INCONCLUSIVE if verdict.outcome is Outcome.INCONCLUSIVE else OTHERWISE


def _load(form: str, aside: "HelperProcess | None") -> None:
    """Import what a run will need, at a moment when there is nothing else to do; a process aside has scapy."""
    from lab.kernel.place import machine  # noqa: PLC0415

    for room in ("experiment", "forecast", "report.live", "report.text" if form == "text" else "cli.output"):
        importlib.import_module(f"lab.{room}")
    if aside is None:
        machine.load_scapy()


def _named(verdict: "Verdict") -> str:
    return verdict.outcome if verdict.grade is None else f"{verdict.outcome} ({verdict.grade})"


def chosen_testbed(wish: RunOptions) -> str:
    """The testbed that was asked for; else the best that works here, said in one line if it is not the preferred."""
    known = ("compose", "loopback", "netns")
    if wish.testbed:
        if wish.testbed not in known:
            raise SpecError(f"unknown testbed '{wish.testbed[:80]}': there are {', '.join(known)}")
        return wish.testbed
    from lab.kernel.place import sysctl  # noqa: PLC0415
    from lab.kernel.place.netns import may_make_namespaces  # noqa: PLC0415

    why = may_make_namespaces()
    if why is None:
        return PREFERRED
    try:
        wish.spec("loopback")
    except SpecError as error:
        raise EnvironmentLacksError(f"{why}, so there is loopback only, and {error}") from None
    sysctl.require_writable_core(host_sysctls(wish.host_sysctl))
    terminal.error(f"{why}: playing on loopback, with socket options instead of sysctls")
    return "loopback"


def _default_runs() -> Path:
    return Path(__file__).resolve().parent.parent.parent / "runs"


def _environment() -> dict[str, str]:
    """The flags of this call as the environment variables that mean the same."""
    context = click.get_current_context()
    found = {}
    for parameter in context.command.params:
        value, variable = context.params.get(parameter.name or ""), parameter.envvar
        if not isinstance(variable, str) or value in (None, (), False):
            continue
        found[variable] = ";".join(value) if isinstance(value, tuple) else "1" if value is True else str(value)
    return found


def _host(notes: Mapping[str, str]) -> dict[str, str]:
    """What a reader of the run will ask: which kernel, which versions."""
    found = {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "system": platform.version(),
        "python": platform.python_version(),
        "clock": "CLOCK_REALTIME, nanoseconds since the epoch",
        "uid": str(os.getuid()),
    }
    return found | _versions() | dict(notes)


def _versions() -> dict[str, str]:
    """Of the packages that a run stands on, as their folders beside msgspec's are called.

    importlib.metadata would read more into it than a run has time for: 40 ms.
    """
    import msgspec  # noqa: PLC0415

    folders = os.listdir(Path(msgspec.__file__).parent.parent)
    named = (folder.removesuffix(".dist-info").partition("-") for folder in folders if folder.endswith(".dist-info"))
    return {name.lower(): number for name, _, number in named if name.lower() in PACKAGES}


def _hold(standing: str) -> None:
    try:
        terminal.echo(f"The pair stands: {standing}. Ctrl-C ends it.", err=True)
        signal.pause()
    except KeyboardInterrupt:
        return
