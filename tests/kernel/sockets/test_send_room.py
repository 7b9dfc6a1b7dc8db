"""What a kernel reckons for a segment's headers, against what its own connections are given."""

import socket

from lab.kernel.sockets.send_room import MAX_TCP_HEADER, max_tcp_header


def test_the_kernel_shows_one_of_the_two_values() -> None:
    assert max_tcp_header() in MAX_TCP_HEADER.values()


def test_another_connection_is_given_what_follows_from_it() -> None:
    """At an MSS of 3000 both values come to the same power of two: 10 segments of 4096 and an sk_buff, twice."""
    with socket.socket() as listener, socket.socket() as client:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 3000)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        client.connect(listener.getsockname())
        header = max_tcp_header()
        assert header is not None
        charge = (1 << (3000 + header + 320 - 1).bit_length()) + 256
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 20 * charge
