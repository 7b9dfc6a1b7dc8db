"""`lab watch`: judges connections of any process or container while they run, and changes nothing on them."""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import click

from lab.cli import terminal
from lab.cli.command import JUDGED, RESULT, WATCHED, Command, flag
from lab.cli.options import format_flag
from lab.cli.values import ALARM, Alarm, Repeated, RepeatedNumber
from lab.errors import ExitCode
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
    form: str,
) -> int:
    """Judge connections that already run (default: all of this host)."""
    from lab.testbed import containers as docker  # noqa: PLC0415
    from lab.watching import Containers, Targets, Watch  # noqa: PLC0415 - pyroute2

    inside = None
    if containers or projects:
        find = partial(docker.main_pids_now, containers, projects)
        inside = Containers(docker.main_pids(containers, projects), find)
    targets = Targets(pids, namespaces, ports, inside)
    with closing(Watch(targets, docker.names_of, terminal.error)) as watch:
        if watch.unseen > HIDDEN_FROM_ROOT and (targets.everything or ports):
            terminal.error(
                f"not looked at: the network namespaces of {watch.unseen} processes, if not ours: run as root"
            )
        if once:
            verdicts = watch.once()
            _print(form, verdicts, everything=True)
            return _code(verdicts, alarms or (Alarm(Outcome.DEADLOCK),))
        for changed in watch.live():
            if changed:
                _print(form, changed, everything=False)
    return 0


def _print(form: str, verdicts, *, everything: bool) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    if form == "json":
        from lab.cli.output import connections_json  # noqa: PLC0415

        click.echo(connections_json([(None, verdict) for verdict in verdicts], [], lines=not everything))
    else:
        from lab.report import watched  # noqa: PLC0415

        watched.show(verdicts)


def _code(verdicts: Sequence["Verdict"], alarms: Sequence[Alarm]) -> int:
    if any(alarm.is_for(each.outcome, each.grade) for each in verdicts for alarm in alarms):
        return ExitCode.OTHERWISE
    inconclusive = any(each.outcome is Outcome.INCONCLUSIVE for each in verdicts)
    return ExitCode.INCONCLUSIVE if inconclusive else ExitCode.DONE
