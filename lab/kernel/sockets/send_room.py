"""Finds out how much room this kernel reserves for a segment in a send buffer, by a connection over loopback.

tcp_sndbuf_expand() adds MAX_TCP_HEADER to each segment. That depends on how the kernel was built, and shows nowhere but
in the send buffer of a new connection.
"""

import socket
from contextlib import ExitStack
from functools import cache

MSS = 1448
"""With this MSS the two values of MAX_TCP_HEADER lead to different powers of two."""
WAIT_S = 1.0
MAX_TCP_HEADER = {46080: 256, 87040: 320}
"""By the send buffer of a new connection: 20 segments, each rounded up to a power of two, plus an sk_buff."""


@cache
def max_tcp_header() -> int | None:
    """MAX_TCP_HEADER, in bytes; None if it does not show (no loopback, or tcp_wmem is too small)."""
    try:
        with ExitStack() as stack:
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, MSS)
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            client = stack.enter_context(socket.socket())
            client.settimeout(WAIT_S)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
            client.connect(listener.getsockname())
            return MAX_TCP_HEADER.get(client.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
    except OSError:
        return None
