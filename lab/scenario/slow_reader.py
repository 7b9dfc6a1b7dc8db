"""The control that crawls: the server rests after each block. Its zero windows open again; it is slow and it moves.

Measured at 3 MB/s, 22 s in all: the window closes and opens 31 times a second with default buffers, 470 times with
8192-byte ones, 28 times on loopback. Blocks of 4096 bytes would empty a squeezed buffer at once: no zero window there.
"""

from lab.spec import Answer, Load, Outcome, Scenario, SocketOptions

SCENARIO = Scenario(
    name="slow-reader",
    summary="a server that rests after each 1024-byte block it reads: zero windows that open again, and it moves",
    server="slow_reader",
    client="write_only",
    port=1060,
    load=Load(
        payload=64 << 20,
        send_size=4096,
        recv_size=4096,
        server_block=1024,
        answer=Answer.NOTHING,
    ),
    expected=Outcome.SLOW_READER,
    loopback_options=SocketOptions(so_rcvbuf=65536, so_sndbuf=65536),
)
