"""A real server's settings, and an ordinary user: Yama 1, hidepid=2, no user namespaces, AppArmor where it is."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

from machines.inside import commands
from machines.inside.command import by_two, lab
from machines.inside.pair import SENDS_ONCE, frozen_pair
from machines.inside.runs import run
from machines.inside.warm import BUFFERS, words
from machines.row import Row, judged

MS_REMOUNT = 32
SETTINGS = {"kernel/yama/ptrace_scope": "1", "kernel/unprivileged_userns_clone": "0", "user/max_user_namespaces": "0"}
PERSON = 1000
HOME = Path("/tmp/person")


def play() -> Iterator[Row]:
    yield _settings()
    yield commands.doctor()  # as root; it also compiles what the user may not write
    yield run("upper, squeezed, as root", words({"scenario": "upper", **BUFFERS["squeezed"]}))
    HOME.mkdir()
    os.chown(HOME, PERSON, PERSON)
    os.environ |= {"HOME": str(HOME), "LAB_RUNS": str(HOME / "runs")}
    yield commands.doctor(user=PERSON)
    scenarios = [each["name"] for each in lab("list")["scenarios"]]
    yield from by_two(lambda name: run(f"{name}, by a user", (name,), user=PERSON), scenarios)
    with frozen_pair(SENDS_ONCE, 7000, user=PERSON) as pair:
        yield judged("watch of one's own pair", ("deadlock",), pair.watched(user=PERSON))
    with frozen_pair(SENDS_ONCE, 7001) as pair:
        yield judged("watch of root's pair", ("inconclusive", "deadlock"), pair.watched(user=PERSON))


def _settings() -> Row:
    for name, value in SETTINGS.items():
        (Path("/proc/sys") / name).write_text(value)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"proc", b"/proc", b"proc", MS_REMOUNT, b"hidepid=2") != 0:
        raise OSError(ctypes.get_errno(), "no hidepid")
    armor = Path("/sys/module/apparmor/parameters/enabled")
    on = armor.exists() and armor.read_text().strip() == "Y"
    shown = ", ".join(f"{name.replace('/', '.')} {value}" for name, value in SETTINGS.items())
    return Row("settings", "in force", "in force", note=f"{shown}, hidepid=2, AppArmor {'on' if on else 'absent'}")
