"""`lab completion`: the script by which a shell completes commands, flags, scenarios, remedies and testbeds."""

import click
from click.shell_completion import get_completion_class

from lab.cli.command import Command
from lab.errors import ExitCode

SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    cls=Command,
    short_help="Print the script for a shell's completion.",
    examples=[
        ('eval "$(lab completion bash)"', "in ~/.bashrc"),
        ('eval "$(lab completion zsh)"', "in ~/.zshrc, after compinit"),
        ("lab completion fish | source", "in ~/.config/fish/config.fish"),
    ],
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(*, shell: str) -> int:
    """Print the script that makes SHELL complete the words of `lab`, and of scripts/lab."""
    from lab.cli import COMPLETION, app  # noqa: PLC0415 - it imports this module

    complete = get_completion_class(shell)
    assert complete is not None
    click.echo(complete(app, {}, "lab", COMPLETION).source(), nl=False)
    return ExitCode.DONE
