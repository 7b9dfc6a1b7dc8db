"""ENOBUFS on the controller's netlink sockets: a real one, from the kernel, because an answer found no room.

The campaign duplicates the socket itself (pidfd_getfd(2)), sets its buffer to the minimum, and sends many more requests
through it than the buffer has room for answers. So the kernel drops answers and tells the reader, which is the lab.
"""

import ctypes
import os
import socket
import struct
import time
from contextlib import suppress

from tests.campaign.faults import BROKE_AWAY, PLAYED, Fault
from tests.campaign.scene import NoTargetError, Scene

PIDFD_GETFD = 438
QUESTIONS = 400
NLM_F_REQUEST, NLM_F_ACK, NLMSG_NOOP_TYPE = 1, 4, 0x3FF
QUESTION = struct.pack("=IHHII", 16, NLMSG_NOOP_TYPE, NLM_F_REQUEST | NLM_F_ACK, 0, 0)
"""Of an unknown type: the kernel answers with error number 0, which no reader waits for."""


def flooded(scene: Scene) -> None:
    pidfd = os.pidfd_open(scene.controller())
    try:
        number = scene.awaited(lambda: _netlink_sockets(scene.controller(), pidfd))
        with socket.socket(fileno=_duplicate(pidfd, number)) as theirs:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
            for _ in range(scene.dice.randint(1, 20)):
                _flood(theirs)
                time.sleep(0.002)
    except OSError:
        raise NoTargetError from None
    finally:
        os.close(pidfd)


def _flood(theirs: socket.socket) -> None:
    for _ in range(QUESTIONS):
        with suppress(OSError):
            theirs.send(QUESTION, socket.MSG_DONTWAIT)


def _netlink_sockets(pid: int, pidfd: int) -> list[int]:
    """The numbers of the controller's descriptors that are netlink sockets."""
    found = []
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                    with socket.socket(fileno=_duplicate(pidfd, int(name))) as theirs:
                        if theirs.family == socket.AF_NETLINK:
                            found.append(int(name))
    return found


def _duplicate(pidfd: int, number: int) -> int:
    descriptor = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, number, 0)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return int(descriptor)


FAULTS = (Fault("netlink-enobufs", flooded, PLAYED | {BROKE_AWAY}),)
