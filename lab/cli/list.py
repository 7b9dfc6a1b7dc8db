"""`lab list`: the catalogue of scenarios, remedies and testbeds."""

import click

from lab.cli.command import Command
from lab.cli.options import format_flag


@click.command(
    "list",
    cls=Command,
    examples=[
        ("lab list", "what can be played, what cures it, and where"),
        ("lab list --format json", "the same for a program"),
        ("lab run $NAME --testbed loopback", "play one of them"),
    ],
)
@format_flag
def command(*, form: str) -> int:
    """List scenarios, remedies and testbeds."""
    from lab import remedy, scenario, testbed  # noqa: PLC0415

    scenarios = [
        {"name": each.name, "summary": each.summary, "expected": each.expected}
        for each in scenario.catalogue().values()
    ]
    remedies = [
        {"name": each.name, "summary": each.summary, "expected": each.expected} for each in remedy.catalogue().values()
    ]
    testbeds = [{"name": each.name, "summary": each.summary} for each in testbed.catalogue().values()]
    if form == "json":
        from lab.cli.output import document  # noqa: PLC0415

        click.echo(document({"scenarios": scenarios, "remedies": remedies, "testbeds": testbeds}))
    else:
        from lab.report import catalogue  # noqa: PLC0415

        catalogue.show(scenarios, remedies, testbeds)
    return 0
