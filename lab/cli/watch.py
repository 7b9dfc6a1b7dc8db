"""`lab watch`: judges connections of any process or container while they run, and changes nothing on them."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli import terminal
from lab.cli.command import JUDGED, RESULT, WATCHED, Command, flag
from lab.cli.options import format_flag
from lab.cli.values import ADDRESS, ALARM, DURATION, Address, Alarm, Repeated, RepeatedNumber
from lab.errors import EnvironmentLacksError, ExitCode, SpecError
from lab.installation import to_install
from lab.spec import Outcome

if TYPE_CHECKING:
    from lab.verdict import Verdict

HIDDEN_FROM_ROOT = 1
"""Processes whose namespace even root may not see: PID 1 of some machines."""


_watched = partial(flag, of="watch", group=WATCHED, multiple=True)


@click.command(
    "watch",
    cls=Command,
    short_help="Judge connections that already run.",
    codes=JUDGED | {ExitCode.OTHERWISE: "a deadlock of any grade, or what --alarm says"},
    examples=[
        ("lab watch", "go on until Ctrl-C, and print what changes"),
        ("lab watch --once --port 5432", "judge once, and exit with the verdict's code"),
        ("sudo lab watch --once --container web --format json", "of a container, for a program"),
        ("lab watch --once --alarm 'deadlock/proven*'", "exit 1 for a proof only"),
        ("lab watch --log stalls.jsonl --metrics 9750", "for a service"),
    ],
)
@_watched("--pid", "pids", type=RepeatedNumber(min=1), metavar="PID", help="connections of this process")
@_watched("--container", "containers", type=Repeated(), metavar="NAME", help="connections of this container")
@_watched("--compose", "projects", type=Repeated(), metavar="PROJECT", help="of all containers of this compose project")
@_watched("--netns", "namespaces", type=Repeated(), metavar="NAME|PATH", help="of this network namespace")
@_watched("--port", "ports", type=RepeatedNumber(1, 65535), metavar="PORT", help="with this port at either end")
@flag("--once", of="watch", group=RESULT, is_flag=True, help="judge once and exit with the verdict's code")
@flag(
    "--alarm",
    "alarms",
    of="watch",
    group=RESULT,
    type=ALARM,
    multiple=True,
    metavar="OUTCOME[/GRADE]",
    help="exit 1 for this verdict (default: deadlock), for example deadlock/proven* or blackhole",
)
@flag(
    "--for",
    "duration_s",
    of="watch",
    group=RESULT,
    type=DURATION,
    metavar="DURATION",
    help="go on for so long, then end as --once does; with --once: how long to wait for a probe of a peer elsewhere "
    "(default: 3s)",
)
@flag(
    "--log",
    of="watch",
    group=RESULT,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="append what is news as JSON Lines, too",
)
@flag(
    "--metrics",
    of="watch",
    group=RESULT,
    type=ADDRESS,
    metavar="[HOST:]PORT",
    help="serve Prometheus' metrics there (default host: 127.0.0.1)",
)
@format_flag
def command(
    *,
    pids: tuple[int, ...],
    containers: tuple[str, ...],
    projects: tuple[str, ...],
    namespaces: tuple[str, ...],
    ports: tuple[int, ...],
    once: bool,
    alarms: tuple[Alarm, ...],
    duration_s: float | None,
    log: Path | None,
    metrics: Address | None,
    form: str,
) -> int:
    """Judge connections that already run (default: all of this host)."""
    from lab.testbed import containers as docker  # noqa: PLC0415
    from lab.watching import Containers, Targets, Watch  # noqa: PLC0415 - pyroute2

    if once and metrics:
        raise SpecError("--metrics needs a watch that goes on: leave out --once")
    alarms = alarms or (Alarm(Outcome.DEADLOCK),)
    inside = None
    if containers or projects:
        find = partial(docker.main_pids_now, containers, projects)
        inside = Containers(docker.main_pids(containers, projects), find)
    targets = Targets(pids, namespaces, ports, inside)
    with ExitStack() as stack:
        watch = stack.enter_context(closing(Watch(targets, docker.names_of, terminal.error)))
        show = _metrics(metrics, stack) if metrics else lambda _: None
        if log:
            _append(log, "")
        if watch.unseen > HIDDEN_FROM_ROOT and (targets.everything or ports):
            terminal.error(
                f"not looked at: the network namespaces of {watch.unseen} processes, if not ours: run as root"
            )
        if once:
            verdicts = watch.once() if duration_s is None else watch.once(duration_s)
            _tell(form, log, verdicts, everything=True)
            return _code(verdicts, alarms)
        code = ExitCode.DONE
        for changed in watch.live() if duration_s is None else watch.live(duration_s):
            show(watch.verdicts)
            if changed:
                _tell(form, log, changed, everything=False)
            code = code if code is ExitCode.OTHERWISE else _code(watch.verdicts, alarms)
        return code


def _metrics(address: Address, stack: ExitStack) -> "Callable[[Sequence[Verdict]], None]":
    try:
        from lab.watching.metrics import Metrics  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise EnvironmentLacksError(
            f"--metrics needs {error.name}: {to_install('metrics')} installs Prometheus' client"
        ) from error
    serving = stack.enter_context(closing(Metrics(address.host, address.port)))
    terminal.error(f"metrics at http://{replace(address, port=serving.port)}/metrics")
    return serving.show


def _tell(form: str, log: Path | None, verdicts: "Sequence[Verdict]", *, everything: bool) -> None:
    """To the log first: a reader who leaves early ends the watch."""
    if log:
        from lab.cli.output import log_line  # noqa: PLC0415

        _append(log, log_line(verdicts) + "\n")
    _print(form, verdicts, everything=everything)


def _append(log: Path, text: str) -> None:
    """Opened anew each time: a file that was rotated away is made again."""
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise EnvironmentLacksError(f"--log {log}: {error.strerror}") from error


def _print(form: str, verdicts, *, everything: bool) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    if form == "json":
        from lab.cli.output import connections_json  # noqa: PLC0415

        click.echo(connections_json([(None, verdict) for verdict in verdicts], [], lines=not everything))
    else:
        from lab.report import watched  # noqa: PLC0415

        watched.show(verdicts)


def _code(verdicts: Sequence["Verdict"], alarms: Sequence[Alarm]) -> ExitCode:
    if any(alarm.is_for(each.outcome, each.grade) for each in verdicts for alarm in alarms):
        return ExitCode.OTHERWISE
    inconclusive = any(each.outcome is Outcome.INCONCLUSIVE for each in verdicts)
    return ExitCode.INCONCLUSIVE if inconclusive else ExitCode.DONE
