"""The command line: parses argv into values, calls one room, prints, exits. No other room of the lab prints or exits.

One module a command: `run`, `list`, `judge`, `watch`, `forecast`, `remedies`, `limits`, `sweep`, `doctor`, `restore`,
`completion`. `command`: what all have, such as groups of flags and exit codes. `options`: the flags that several share.
`values`: types of flags. `output`: JSON. `terminal`: lines on the terminal.
"""

import errno
import importlib
import os
import signal
import sys
import traceback
from types import FrameType
from typing import TYPE_CHECKING

import click

from lab.cli import terminal
from lab.cli.command import ALWAYS, Commands
from lab.errors import ExitCode, LabError
from lab.version import VERSION

if TYPE_CHECKING:
    from lab.kernel.place.helper_process import HelperProcess

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EFBIG)
"""Errors of a limit, of the caller (setrlimit(2)) or of the machine."""
COMMANDS = (
    "run",
    "list",
    "judge",
    "watch",
    "forecast",
    "remedies",
    "limits",
    "sweep",
    "doctor",
    "restore",
    "completion",
)


COMPLETION = "_LAB_COMPLETE"
"""The variable by which a shell asks (click's own name for it)."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP, as an exception: what must be undone is undone while it propagates."""


class _Rooms(Commands):
    """Imports a command when it is called for, so that `lab --help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [*COMMANDS]  # `list` is the module of that name, once it is imported

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"lab.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


CODES = {
    ExitCode.DONE: "done; run: as expected; judge, watch: no deadlock",
    ExitCode.OTHERWISE: "run: another outcome; judge, watch: a deadlock, of any grade",
    ExitCode.INCONCLUSIVE: "inconclusive: a fact is missing, and named",
    **ALWAYS,
}
EXAMPLES = (
    ("lab run", "freeze a pair of programs, and prove it"),
    ("lab judge capture.pcapng", "judge every connection of a capture"),
    ("lab watch --once", "judge every connection of this host"),
)


@click.group(
    cls=_Rooms, context_settings={"help_option_names": ["-h", "--help"]}, examples=EXAMPLES, codes=CODES
)  # fmt: skip
@click.version_option(package_name=None, version=VERSION, prog_name="zero-window lab")
def app() -> None:
    """Provoke, capture and judge TCP write-write deadlocks (mutual zero windows)."""


def main(helper: "HelperProcess | None" = None) -> int:
    """Run the command line; the exit code. `lab run` uses a helper process that was started early."""
    os.umask(os.umask(0o022) | 0o022)  # nobody else may write into the files that we leave
    for each in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is not signal.SIG_IGN:  # nohup(1) ignores SIGHUP for a program that is to go on
            signal.signal(each, _terminate)
    try:
        code = _completed() if COMPLETION in os.environ else _code(helper)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has left. No error is printed at exit either, and 0 would be a verdict.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        terminal.error(f"cannot write the output: {error.strerror}")
        return ExitCode.ENVIRONMENT
    return code


def _completed() -> int:
    """Answer a shell that asks what may follow, as the script of `lab completion` has it ask."""
    from click.shell_completion import shell_complete  # noqa: PLC0415 - for this alone

    understood = shell_complete(app, {}, "lab", COMPLETION, os.environ[COMPLETION]) == 0
    return ExitCode.DONE if understood else ExitCode.BAD_INPUT


def _code(helper: "HelperProcess | None") -> int:
    """Run the command; its exit code, or that of the error that it raised. Raises OSError of standard output."""
    try:
        return int(app.main(prog_name="lab", standalone_mode=False, obj=helper) or 0)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        return _usage(error)
    except LabError as error:
        terminal.error(str(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort, Terminated) as signal_:
        return _interrupted(signal_)
    except BrokenPipeError:
        raise
    except SystemExit:
        # click exits so if the reader of its output has left, with a 1 that would be a verdict.
        raise BrokenPipeError from None
    except Exception as error:  # noqa: BLE001 - the contract: an error that nobody foresaw is our fault, and exits 5
        return _unforeseen(error)


def _usage(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    elif isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "lab"
        terminal.error(f"{error.format_message()} (`{path} --help` says more)")
    else:
        terminal.error(error.format_message())
    return ExitCode.BAD_INPUT


def _interrupted(signal_: BaseException) -> int:
    """All is undone, and the exit code is known: a second Ctrl-C must not change it while Python ends."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    if isinstance(signal_, Terminated):
        return 128 + int(str(signal_))
    terminal.error("interrupted")
    return ExitCode.INTERRUPTED


def _unforeseen(error: Exception) -> int:
    """A limit of the caller or of the machine, or else a defect of the lab. Raises if standard output is full."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        raise error  # of standard output: for a run's own files it is a StoreError
    if isinstance(error, OSError) and error.errno in LIMITS:
        return _too_low(error.strerror)
    if isinstance(error, MemoryError | SystemError):  # CPython raises the latter if an allocation failed unnoticed
        return _too_low("Cannot allocate memory")
    terminal.echo("".join(traceback.format_exception(error)), err=True)
    terminal.error("this is a defect of the lab; please report it with the lines above")
    return ExitCode.DEFECT


def _too_low(limit: str | None) -> int:
    terminal.error(
        f"a limit of this place is too low for it ({limit}): `ulimit -a` shows them, `ulimit -n 1024` raises one"
    )
    return ExitCode.ENVIRONMENT


def _terminate(number: int, _: FrameType | None) -> None:
    raise Terminated(number)
