"""The simpler rules that people go by, each as a few lines over the same pair: what our rule is compared with."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lab.evidence import SocketSample, WireFacts
from lab.spec import Pair
from lab.syscalls import BY_NUMBER, SENDS


def packets(facts: WireFacts, probes: int) -> bool:
    """P(k), packets only: both last windows are 0, and each side has sent k probes since the last progress."""
    return all(facts.closed) and all(seen >= probes for seen in facts.probes_since_still)


def persist_timers(sockets: Pair[SocketSample | None]) -> bool:
    """R2: the persist timer runs on both sockets, and both see a zero window."""
    return all(end is not None and end.timer == "persist" and end.snd_wnd == 0 for end in sockets)


def windows(sockets: Pair[SocketSample | None]) -> bool:
    """Rw: both see a zero window, and both have something to send."""
    return all(end is not None and end.snd_wnd == 0 and end.wqueue > 0 for end in sockets)


def windows_and_syscalls(sockets: Pair[SocketSample | None], sending: set[int]) -> bool:
    """R3: Rw, and some thread of each side is inside a blocking send on that very socket."""
    return windows(sockets) and all(end is not None and end.inode in sending for end in sockets)


def sending(pids: Iterable[int]) -> set[int]:
    """The inodes of the sockets that some thread of these processes is inside a blocking send on."""
    found: set[int] = set()
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            with suppress(OSError):
                number, first, *_ = *(thread / "syscall").read_text().split(), ""
                call = _CALLS.get(int(number)) if number.isdigit() else None
                if call is not None and call.name in SENDS:
                    link = os.readlink(f"/proc/{pid}/fd/{int(first, 16)}")
                    found.update(map(int, re.findall(r"socket:\[(\d+)\]", link)))
    return found


_CALLS = BY_NUMBER[os.uname().machine]
