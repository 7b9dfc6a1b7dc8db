"""The lines that a command itself prints, with all that it quotes escaped; reports go through `lab.report.page`."""

from contextlib import nullcontext, suppress

import click

from lab.report.escape import escaped


def echo(text: str, *, err: bool = False) -> None:
    """Print on standard output, or on standard error. If the latter is closed, the exit code still tells."""
    with suppress(OSError) if err else nullcontext():
        click.echo(escaped(text, keep="\n"), err=err)


def error(text: str) -> None:
    """Print one line on standard error, whatever is in the values that it quotes."""
    echo(f"lab: {' '.join(text.split())}", err=True)
