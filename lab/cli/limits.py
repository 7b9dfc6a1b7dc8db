"""`lab limits`: the published table of buffers, measured here."""

import click

from lab.cli.say import say
from lab.cli.wishes import table_format_flag


@click.command("limits")
@table_format_flag
def command(*, form: str) -> int:
    """Check the published table of TCP buffers on this kernel, claim by claim, in about two seconds."""
    from lab import limits  # noqa: PLC0415 - pyroute2

    found = list(limits.measured())
    if form == "json":
        from lab.cli.output import document  # noqa: PLC0415

        click.echo(document({"limits": found}))
        return 0
    from lab.report import limits as report  # noqa: PLC0415

    if form == "markdown":
        say(report.markdown(found))
    else:
        report.show(found)
    return 0
