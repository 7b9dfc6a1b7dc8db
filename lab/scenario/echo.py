"""The other published freeze: an echo server, and a client that sends 10 MiB by plain send() before it reads.

It brings its published buffers: with those of today the kernel swallowed all 10 MiB in 8 of 90 runs, with these in 0
of 60. On loopback the same sizes come by socket options, which the kernel doubles: 2 * 43690 is 87380.
"""

from lab.spec import Answer, Buffers, Load, Outcome, Scenario, SocketOptions, Triple

SCENARIO = Scenario(
    name="echo",
    summary="an echo server reads 4096-byte blocks; its client sends 10 MiB by 1024-byte send() calls, then reads",
    server="echo",
    client="send_then_read",
    port=51423,
    load=Load(
        payload=10 << 20,
        send_size=1024,
        recv_size=1024,
        server_block=4096,
        answer=Answer.ECHO,
    ),
    expected=Outcome.DEADLOCK,
    buffers=Buffers(tcp_rmem=Triple(4096, 87380, 4161536), tcp_wmem=Triple(4096, 16384, 4161536)),
    loopback_options=SocketOptions(so_rcvbuf=43690, so_sndbuf=8192),
    freezes=True,
)
