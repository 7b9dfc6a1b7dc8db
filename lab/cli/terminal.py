"""What the door itself says, a line or more, with all that it quotes escaped; reports go through `lab.report.page`."""

from contextlib import nullcontext, suppress

import click

from lab.report.escape import escaped


def say(text: str, *, err: bool = False) -> None:
    """Print it on standard output, or on standard error; where the latter leads nowhere, the exit code still tells."""
    with suppress(OSError) if err else nullcontext():
        click.echo(escaped(text, keep="\n"), err=err)


def complain(text: str) -> None:
    """One line on standard error, whatever is in the value that it quotes."""
    say(f"lab: {' '.join(text.split())}", err=True)
