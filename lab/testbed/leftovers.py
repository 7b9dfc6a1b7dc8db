"""Finds and removes what killed labs left behind. It never touches a lab that lives.

The netns and loopback testbeds leave nothing by construction: their namespaces have no names, and their programs die
with the lab. Their programs are looked for all the same. Settings of the whole host come first, so that no other
failure can prevent that.
"""

import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path

from lab.errors import EnvironmentLacksError
from lab.kernel.place import host_settings
from lab.kernel.place.journal import OutOfReachError
from lab.kernel.procfs import argv, parent_of
from lab.testbed import engine
from lab.testbed.engine import Thing


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that was removed, or that was left alone, and why."""

    kind: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Restored:
    removed: tuple[Leftover, ...]
    untouched: tuple[Leftover, ...]
    put_back: tuple[Leftover, ...] = ()
    """Settings that are now as they were before the lab."""
    failed: tuple[Leftover, ...] = ()
    """What a person has to look after."""


def restore() -> Restored:
    """Put back and remove what killed labs left. Raises TestbedError for what cannot be removed."""
    settings, things = _restored_settings(), _restored_things()
    return replace(settings, removed=things.removed, untouched=settings.untouched + things.untouched)


def _restored_settings() -> Restored:
    try:
        settled = [(each.as_before, Leftover("setting", each.name, each.why)) for each in host_settings.restore()]
    except OutOfReachError as error:
        return Restored((), (Leftover("settings", "net.core", str(error)),))
    except EnvironmentLacksError as error:
        return Restored((), (), failed=(Leftover("settings", "net.core", str(error)),))
    put_back = tuple(item for as_before, item in settled if as_before)
    return Restored((), tuple(item for as_before, item in settled if not as_before), put_back)


def _restored_things() -> Restored:
    ended = tuple(Leftover("process", f"{pid} (lab.endpoint)", "its lab is gone") for pid in _end_orphans())
    try:
        with engine.reached() as client:
            if not engine.is_local():
                elsewhere = Leftover("engine", "Docker", "is another machine's: run `lab restore` there")
                return Restored(ended, (elsewhere,))
            gone = engine.clear(client, lambda: [each for each in engine.things(client) if is_left(each)], engine.LOOKS)
            others = [each for each in engine.things(client) if each.owner]
    except EnvironmentLacksError as error:
        return Restored(ended, (Leftover("engine", "Docker", str(error)),))
    removed = (Leftover(each.kind, each.name, f"its lab, process {_pid(each)}, is gone") for each in gone)
    return Restored((*ended, *removed), tuple(Leftover(each.kind, each.name, _why_left_alone(each)) for each in others))


def is_left(thing: Thing) -> bool:
    """Whether a lab made it that no longer lives. What a person started by hand has no owner, and is left alone."""
    return bool(thing.owner) and engine.lives(thing.owner) is False


def _why_left_alone(thing: Thing) -> str:
    if engine.lives(thing.owner):
        return f"its lab, process {_pid(thing)}, lives"
    return "whether its lab lives cannot be seen from this pid namespace: run `lab restore` where it was started"


def _pid(thing: Thing) -> str:
    return thing.owner.split(":")[0]


def _end_orphans() -> list[int]:
    return [pid for pid in _processes() if _is_orphan(pid) and _end(pid)]


def _processes() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]


def _is_orphan(pid: int) -> bool:
    """Whether it is an endpoint that init has adopted. One in a container is the engine's, whoever its parent is."""
    parent = parent_of(pid)
    return (
        "lab.endpoint" in argv(pid)[2:4]
        and parent is not None
        and (parent == 1 or argv(parent)[1:2] == ["--user"])  # systemd adopts what its user's sessions leave
        and not any(word == "lab" or word.startswith("lab.") for word in argv(parent))
        and _in_this_pid_namespace(pid)
    )


def _in_this_pid_namespace(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino == Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return False


def _end(pid: int) -> bool:
    """Send SIGTERM by a descriptor: by now the number may be another process's."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if not _is_orphan(pid):
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(descriptor)
    return True
