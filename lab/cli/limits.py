"""`lab limits`: the published table of buffers, measured here."""

from collections.abc import Sequence

import click

from lab.cli import terminal
from lab.cli.command import Command
from lab.cli.options import host_sysctl_flag, host_sysctls, table_format_flag
from lab.cli.values import Setting


@click.command(
    "limits",
    cls=Command,
    short_help="Check the published table of buffers here.",
    examples=[
        ("lab limits", "claim by claim, with the reason of each difference"),
        ("lab limits --format markdown", "as a table for a document"),
        ("lab limits --host-sysctl net.core.rmem_max=131071", "with another limit of the host, put back afterwards"),
    ],
)
@host_sysctl_flag
@table_format_flag
def command(*, host_sysctl: Sequence[Setting], form: str) -> int:
    """Check the published table of TCP buffers on this kernel, claim by claim, in about two seconds."""
    from lab import limits  # noqa: PLC0415 - pyroute2
    from lab.kernel.place import host_settings  # noqa: PLC0415

    with host_settings.applied(host_sysctls(host_sysctl), say=terminal.error):
        found = list(limits.measured())
    if form == "json":
        from lab.cli.output import document  # noqa: PLC0415

        click.echo(document({"limits": found}))
        return 0
    from lab.report import limits as report  # noqa: PLC0415

    if form == "markdown":
        terminal.echo(report.markdown(found))
    else:
        report.show(found)
    return 0
