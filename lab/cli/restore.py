"""`lab restore`: puts back what a killed run left; a lab that lives is never touched."""

import click

from lab.cli.say import say
from lab.cli.wishes import format_flag


@click.command("restore")
@format_flag
def command(*, form: str) -> int:
    """Remove containers, networks and programs that killed runs left behind."""
    from lab.testbed import leftovers  # noqa: PLC0415 - pyroute2, docker

    found = leftovers.restore()
    if form == "json":
        from lab.cli.output import document  # noqa: PLC0415

        click.echo(document({"removed": found.removed, "untouched": found.untouched}))
        return 0
    for item in found.removed:
        say(f"removed the {item.kind} {item.name}: {item.why}")
    for item in found.untouched:
        did = "did not look at" if item.kind == "engine" else f"left alone the {item.kind}"
        say(f"{did} {item.name}: {item.why}")
    if not found.removed:
        say("nothing to restore")
    return 0
