"""What every command has: flags in groups, each with its environment variable; examples; exit codes in its help."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, TypeVar

import click

from lab.errors import ExitCode, unknown

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Codes = dict[ExitCode, str]

PLAYED, WATCHED, BUFFERS = "What is played", "What is watched", "Buffers and sockets"
NETWORK, CAPTURE, RESULT = "Network", "Capture", "Result"
GROUPS = (PLAYED, WATCHED, BUFFERS, NETWORK, CAPTURE, RESULT)
"""In the order of the help."""

ALWAYS: Codes = {
    ExitCode.BAD_INPUT: "usage, or bad input",
    ExitCode.ENVIRONMENT: "this machine cannot do it, or broke away: the message says what to do",
    ExitCode.DEFECT: "the lab itself failed",
    ExitCode.INTERRUPTED: "Ctrl-C",
}
JUDGED: Codes = {
    ExitCode.DONE: "no deadlock",
    ExitCode.OTHERWISE: "a deadlock, of any grade",
    ExitCode.INCONCLUSIVE: "inconclusive",
}


class Flag(click.Option):
    """An option of one of GROUPS; None: of the other options."""

    def __init__(self, *names: Any, group: str | None = None, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.group = group


def flag(name: str, *names: str, of: str | None = None, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """A flag and its environment variable.

    LAB_NAME for a flag of `lab run`, which means the same wherever else it occurs; LAB_COMMAND_NAME for a flag `of`
    another command.
    """
    words = ["LAB", *([of] if of else []), name.lstrip("-").replace("-", "_")]
    return click.option(name, *names, cls=Flag, envvar="_".join(words).upper(), show_envvar=True, **attributes)


class Command(click.Command):
    """One command of the lab."""

    def __init__(
        self, *args: Any, examples: Sequence[tuple[str, str]] = (), codes: Codes | None = None, **attributes: Any
    ) -> None:
        """`examples`: a command line and what it does. `codes`: what 0 and others mean here."""
        super().__init__(*args, **attributes)
        self.examples = examples
        self.codes = ALWAYS | ({ExitCode.DONE: "done"} if codes is None else codes)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, group by group."""
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        named = [(getattr(each, "group", None), each) for each in options]
        order = [*GROUPS, None]
        named.sort(key=lambda each: order.index(each[0]))
        for group, members in groupby(named, key=lambda each: each[0]):
            records = [record for _, each in members if (record := each.get_help_record(ctx))]
            with formatter.section(group or "Options"):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        if self.examples:
            with formatter.section("Examples"):
                formatter.write_dl(list(self.examples))
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), self.codes[code]) for code in ExitCode if code in self.codes])


class Commands(Command, click.Group):
    """All commands. A mistyped one is refused with the nearest."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        Command.format_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise unknown("command", args[0], known)
        return super().resolve_command(ctx, args)
