"""The door: parses argv into values, calls one room, prints, exits. Nothing else in the house exits or prints.

Exit codes: 0 as expected, 1 another outcome or a deadlock found, 2 usage or bad input, 3 inconclusive, 4 the
environment cannot do it or broke away, 5 the lab itself failed, 130 Ctrl-C.
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

from lab.cli.terminal import complain, say
from lab.errors import LabError
from lab.version import VERSION

if TYPE_CHECKING:
    from lab.kernel.place.helper_process import HelperProcess

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EFBIG)
"""Of whoever called us (setrlimit(2)), or of the machine."""
COMMANDS = ("run", "list", "judge", "watch", "forecast", "remedies", "limits", "sweep", "doctor", "restore")


class Terminated(BaseException):
    """SIGTERM or SIGHUP, as an exception: everything that must be undone is undone on its way out."""


class _Rooms(click.Group):
    """Imports a command when it is called for, so that `lab --help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"lab.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Rooms, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, version=VERSION, prog_name="zero-window lab")
def app() -> None:
    """Provoke, capture and judge TCP write-write deadlocks (mutual zero windows)."""


def main(aside: "HelperProcess | None" = None) -> int:
    """Run the command line; the exit code. `lab run` has use for a process aside that was begun early."""
    os.umask(os.umask(0o022) | 0o022)  # nobody else may write into what we leave
    for each in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is not signal.SIG_IGN:  # as nohup(1) has it, for what is to outlive its terminal
            signal.signal(each, _terminate)
    try:
        code = _called(aside)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has left: no more of it, and no complaint at exit either. A 0 would be a verdict.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        complain(f"cannot write the output: {error.strerror}")
        return 4
    return code


def _called(aside: "HelperProcess | None") -> int:
    try:
        return int(app.main(prog_name="lab", standalone_mode=False, obj=aside) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "lab"
        complain(f"{error.format_message()} (`{path} --help` says more)")
        return 2
    except click.ClickException as error:
        complain(error.format_message())
        return 2
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except LabError as error:
        complain(str(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _be_deaf()
        complain("interrupted")
        return 130
    except Terminated as signal_:
        _be_deaf()
        return 128 + int(str(signal_))
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in NO_ROOM:
            raise  # that of standard output: of a run's own files it is a StoreError
        return _too_little(error.strerror) if error.errno in LIMITS else _defect()
    except (MemoryError, SystemError):  # the latter is CPython's own, where an allocation failed unnoticed
        return _too_little("Cannot allocate memory")
    except SystemExit:
        # How click answers a reader that has left, with a 1 that would be a verdict.
        raise BrokenPipeError from None
    except Exception:  # noqa: BLE001 - the contract: what nobody foresaw is our fault, and exits 5
        return _defect()


def _too_little(why: str | None) -> int:
    complain(f"a limit of this place is too low for it ({why}): `ulimit -a` shows them, `ulimit -n 1024` raises one")
    return 4


def _defect() -> int:
    say(traceback.format_exc(), err=True)
    complain("this is a defect of the lab; please report it with the lines above")
    return 5


def _be_deaf() -> None:
    """All is undone, and the exit code is known: an impatient second Ctrl-C must not spoil it while Python ends."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)


def _terminate(number: int, _: FrameType | None) -> None:
    raise Terminated(number)
