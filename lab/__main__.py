"""The one entry of the lab: `python -m lab`, `scripts/lab` and the installed `lab` all call `main`."""

import contextlib
import fcntl
import gc
import os
import resource
import sys
from typing import NoReturn

from lab.installation import PACKAGE, advice


def main() -> NoReturn:
    """Run the command line, and end with its exit code: a documented one, whatever ends it."""
    # The imports make a hundred thousand objects that stay. If the collector searched them for cycles again and again,
    # that would take a fifth of the time until a run begins.
    gc.set_threshold(100_000)
    code = 5  # never Python's own 1, which is a verdict
    try:
        _open_standard_streams()
        code = _run()
    except KeyboardInterrupt:
        code = 130
    except ModuleNotFoundError as error:
        code = 4
        install = advice("call scripts/lab, which installs what it needs", f"pip install {PACKAGE} installs it")
        sys.stderr.write(f"lab: {error}: {install}\n")
    except BaseException:  # noqa: BLE001 - printed right here, none is swallowed
        sys.excepthook(*sys.exc_info())
    finally:
        # Everything is undone and written. Python would only free its memory, object by object: 40 ms.
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)


def _open_standard_streams() -> None:
    """Open on /dev/null a standard stream that the caller has closed: no socket or file of the lab gets its number.

    bash may have opened its script under that number: then it is open for reading only.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            closed = number > 0 and fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        except OSError:
            closed = True
        if closed:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))


def _run() -> int:
    helper = None
    # If memory is limited there is no helper process: which of the two would run out first is a matter of chance.
    plays = sys.argv[1:2] == ["run"] and not {"-h", "--help"}.intersection(sys.argv)
    if plays and resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        from lab.kernel.place import machine  # noqa: PLC0415 - whatever an import raises is caught
        from lab.kernel.place.helper_process import HelperProcess  # noqa: PLC0415

        machine.load_setns()  # before the fork, since both processes need it
        with contextlib.suppress(OSError):  # no room for one more process: its work is done here, later
            helper = HelperProcess(machine.load_rtnetlink, machine.load_scapy)
    from lab.cli import main as command_line  # noqa: PLC0415

    code = command_line(helper)
    if helper is not None:
        helper.close()
    return code


if __name__ == "__main__":
    main()
