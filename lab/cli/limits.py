"""`lab limits`: the published table of buffers, measured here."""

from collections.abc import Sequence

import click

from lab.cli import terminal
from lab.cli.options import host_sysctl_flag, host_sysctls, table_format_flag


@click.command("limits")
@host_sysctl_flag
@table_format_flag
def command(*, host_sysctl: Sequence[str], form: str) -> int:
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
