"""`lab restore`: puts back what a killed run left behind. It never touches a lab that still runs."""

from typing import TYPE_CHECKING

import click

from lab.cli import terminal
from lab.cli.command import Command
from lab.cli.options import format_flag
from lab.errors import ExitCode

if TYPE_CHECKING:
    from lab.testbed.leftovers import Restored


@click.command(
    "restore",
    cls=Command,
    short_help="Undo what killed runs left behind.",
    examples=[
        ("sudo lab restore", "after a kill -9: settings of the host are root's"),
        ("lab restore --format json", "what was put back, removed and left alone"),
        ("lab doctor", "only look whether anything is left"),
    ],
)
@format_flag
def command(*, form: str) -> int:
    """Put back the host's settings, and remove containers, networks and programs, that killed runs left behind."""
    from lab.testbed import leftovers  # noqa: PLC0415 - pyroute2, docker

    found = leftovers.restore()
    if form == "json":
        from lab.cli.output import document  # noqa: PLC0415

        click.echo(document(found))
    else:
        _show(found)
    return ExitCode.ENVIRONMENT if found.failed else ExitCode.DONE


def _show(found: "Restored") -> None:
    for item in found.put_back:
        terminal.echo(f"{item.name} is {item.why}")
    for item in found.removed:
        terminal.echo(f"removed the {item.kind} {item.name}: {item.why}")
    for item in found.untouched:
        did = "did not look at" if item.kind == "engine" else f"left alone the {item.kind}"
        terminal.echo(f"{did} {item.name}: {item.why}")
    if not (found.put_back or found.removed or found.failed):
        terminal.echo("nothing to restore")
    for item in found.failed:
        terminal.error(f"cannot restore the {item.kind} {item.name}: {item.why}")
