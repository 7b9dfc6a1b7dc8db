"""Asks this kernel whether it computes windows by tcp_adv_win_scale: by a connection in a namespace of its own.

Linux does up to 6.5 and has ignored the sysctl since, but distributions carry either into other releases, so the number
of the release does not tell. With a scale of 2 three quarters of a receive buffer make a window; a kernel that ignores
it gives half.
"""

import fcntl
import os
import select
import signal
import socket
import struct
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from lab.kernel.place import netns

SCALE = 2
BUFFER = 65_536
TCP_WINDOW_CLAMP = 10
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
"""netdevice(7)"""
LIMIT_S = 2.0


@cache
def adv_win_scale_counts() -> bool | None:
    """None where it cannot be found out: that needs a network namespace of one's own (CAP_SYS_ADMIN)."""
    reader, writer = os.pipe()
    with netns.signals_held():
        child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(int(LIMIT_S))
            os.write(writer, b"yes" if _share() > 5 / 8 else b"no")
        finally:
            os._exit(0)
    os.close(writer)
    try:
        answer = os.read(reader, 8) if select.select([reader], [], [], LIMIT_S)[0] else b""
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return {b"yes": True, b"no": False}.get(answer)


def _share() -> float:
    """How much of a new connection's receive buffer makes its largest window, in a namespace with another scale."""
    with ExitStack() as stack:
        namespace = stack.enter_context(netns.Namespace.create())
        namespace.enter()
        fcntl.ioctl(stack.enter_context(socket.socket()), SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
        Path("/proc/sys/net/ipv4/tcp_adv_win_scale").write_text(str(SCALE))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = stack.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        client.settimeout(LIMIT_S)
        client.connect(listener.getsockname())
        clamp = client.getsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP)
        return clamp / client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
