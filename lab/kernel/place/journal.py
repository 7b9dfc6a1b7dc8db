"""The journal of what a lab changes on the whole host. It is on disk before the change, so the next lab can undo it.

It lies in a folder that only root may read. It is valid for this boot only: after a reboot the kernel has its own
values again. A file that is not exactly such a journal is neither believed nor removed.
"""

import errno
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.errors import EnvironmentLacksError
from lab.spec import HOST_SYSCTLS

FOLDER = "/var/lib/zero-window-lab"
NAME, UNFINISHED = "host-settings.json", ".host-settings.json.unfinished"
FORMAT = "zero-window-lab host settings 1"
MOST = 1 << 16
"""Bytes that are read; a journal has about 400."""


@dataclass(frozen=True, slots=True)
class Change:
    """One key of `net.core`: its value before the lab, and the one that the lab writes."""

    key: str
    before: str
    written: str


@dataclass(frozen=True, slots=True)
class Journal:
    """The changes of one lab: which process made them, and since which start of the machine they stand."""

    boot_id: str
    pid: int
    changes: tuple[Change, ...]


class OutOfReachError(EnvironmentLacksError):
    """The journal is not ours to touch: its lab lives, or only root may look at it."""


def path() -> Path:
    """The folder of the journal. LAB_STATE is for tests: labs with two folders do not know of each other."""
    return Path(os.environ.get("LAB_STATE") or FOLDER)


def opened(*, make: bool) -> int | None:
    """A descriptor of the folder; None if there is no folder and `make` is false. Raises EnvironmentLacksError."""
    folder = path()
    try:
        if make:
            _make(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        if make:
            raise EnvironmentLacksError(f"no journal can be kept in {folder}: make that folder as root") from None
        return None
    except PermissionError:
        raise OutOfReachError(f"only root may look into {folder}: run as root") from None
    except OSError as error:
        why = "it is no folder" if error.errno in (errno.ENOTDIR, errno.ELOOP) else error.strerror
        raise EnvironmentLacksError(f"no journal can be kept in {folder} ({why}): nothing was changed") from None
    try:
        _refuse_what_others_may_touch(folder, descriptor, make=make)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _make(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        parent = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)


def _refuse_what_others_may_touch(folder: Path, descriptor: int, *, make: bool) -> None:
    """A user who may write into the folder could forge a journal; one who may open it could hold its lock forever."""
    status = os.fstat(descriptor)
    allowed = status.st_mode & 0o077
    if make and status.st_uid == 0 and allowed & ~0o055 == 0 and not os.listdir(descriptor):
        os.fchmod(descriptor, 0o700)  # as the engine creates what compose.yaml binds
        return
    if status.st_uid != 0 or allowed & 0o022 or (make and allowed):
        raise EnvironmentLacksError(
            f"others than root may use {folder}, so no journal can be kept or believed there: "
            f"chown root {folder} && chmod 700 {folder}, once you know what is in it"
        )


def read(folder: int) -> Journal | None:
    """The journal in the folder of this descriptor, if any. Raises EnvironmentLacksError for a file that is none."""
    try:
        descriptor = os.open(NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unbelievable(error.strerror or "unreadable") from None
    try:
        return _decoded(os.read(descriptor, MOST))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise _unbelievable("it is cut off, or no JSON") from None
    except (OSError, ValueError) as error:
        raise _unbelievable(str(error)) from None
    finally:
        os.close(descriptor)


def write(folder: int, journal: Journal) -> None:
    """Put it on disk, whole, before this returns. After an EnvironmentLacksError there is no journal."""
    data = json.dumps({"format": FORMAT} | asdict(journal), indent=2).encode() + b"\n"
    try:
        descriptor = os.open(UNFINISHED, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=folder)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(UNFINISHED, NAME, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    except OSError as error:
        with suppress(EnvironmentLacksError):
            remove(folder)
        raise EnvironmentLacksError(
            f"no journal can be kept in {path()} ({error.strerror}), so nothing was changed: make room there"
        ) from None


def remove(folder: int) -> None:
    """Remove it, and one that a kill left unfinished. Raises EnvironmentLacksError if one stays."""
    try:
        with suppress(FileNotFoundError):  # of the folder itself, too
            for name in {UNFINISHED, NAME}.intersection(os.listdir(folder)):
                os.unlink(name, dir_fd=folder)
                os.fsync(folder)
    except OSError as error:
        raise EnvironmentLacksError(
            f"the journal in {path()} cannot be removed ({error.strerror}): remove it"
        ) from None


def _decoded(data: bytes) -> Journal:
    """Raises ValueError for anything that `write` does not write."""
    value = json.loads(data)
    match value:
        case {"format": str(form), "boot_id": str(boot_id), "pid": int(pid), "changes": list(changes), **rest}:
            if form != FORMAT or rest:
                raise ValueError("it is not of this version of the lab")
            return Journal(boot_id, pid, tuple(_change(each) for each in changes))
    raise ValueError("a part is missing")


def _change(value: Any) -> Change:  # noqa: ANN401 - whatever the file holds
    match value:
        case {"key": str(key), "before": str(before), "written": str(written), **rest} if not rest:
            if key in HOST_SYSCTLS and all(text.isascii() and text.isdecimal() for text in (before, written)):
                return Change(key, before, written)
    raise ValueError("a change in it is no change of net.core")


def _unbelievable(why: str) -> EnvironmentLacksError:
    return EnvironmentLacksError(
        f"{path() / NAME} is damaged or was not written by the lab ({why}), so it is not known what to put back: "
        "look at it and at `sysctl net.core`, put back what is wrong, and remove the file"
    )
