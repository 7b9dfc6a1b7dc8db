"""`lab doctor`: what works here and what does not, and every knob of the buffers."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli.command import Command
from lab.cli.options import format_flag, net_flag, runs_flag
from lab.errors import ExitCode
from lab.installation import default_runs
from lab.spec import refuse_impossible_net

if TYPE_CHECKING:
    from lab.doctor import Knob


@click.command(
    "doctor",
    cls=Command,
    short_help="Check what works here, and why not.",
    codes={ExitCode.DONE: "`lab run` works here", ExitCode.ENVIRONMENT: "it does not: see what to do"},
    examples=[
        ("lab doctor", "a line a check, and what to do"),
        ("lab doctor --net 10.9.8", "whether that subnet is free for --testbed compose"),
        ("lab doctor --format json", "the same for a program"),
    ],
)
@net_flag
@runs_flag
@format_flag
def command(*, net: str, runs: Path | None, form: str) -> int:
    """Check what works here, and show every knob of the buffers."""
    from lab.doctor import examine  # noqa: PLC0415 - pyroute2, scapy, docker

    refuse_impossible_net(net)
    findings = examine(net, runs or default_runs())
    if form == "json":
        from lab.cli.output import document  # noqa: PLC0415

        click.echo(document({"checks": findings.checks, "knobs": findings.knobs}))
    else:
        from lab.report import checks  # noqa: PLC0415

        checks.show(findings.checks, may_run=findings.may_run)
        _show(findings.knobs)
    return ExitCode.DONE if findings.may_run else ExitCode.ENVIRONMENT


def _show(knobs: Sequence["Knob"]) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from lab.report import page  # noqa: PLC0415

    for lives, group in groupby(knobs, key=lambda knob: knob.lives):
        members = list(group)
        writable = all(knob.writable for knob in members)
        page.show(["", Text(_HEADINGS[lives, writable], "bold")])
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
        for width in (22, 22):
            table.add_column(no_wrap=True, width=width)
        table.add_column(ratio=1)
        for knob in members:
            table.add_row(f"  {knob.name.rpartition('.')[2]}", knob.value or "not here", knob.limits)
        page.show([table])


_HEADINGS = {
    ("namespace", True): "net.ipv4, of each network namespace: the lab writes them for one run",
    ("namespace", False): "net.ipv4, of each network namespace: here the lab may not write them",
    ("host", True): "net.core, of the whole host: root here may write them, the lab by --host-sysctl alone",
    ("host", False): "net.core, of the whole host: may not be written from here",
    ("socket", True): "of one socket: any program writes its own, here by --so-rcvbuf and --so-sndbuf",
}
