"""The programs of our own that `record.py` plays beside the real ones: `peer.py MODE ADDRESS PORT [KEY=VALUE...]`."""

import asyncio
import socket
import struct
import sys
import time

TCP_INFO_UNACKED, TCP_INFO_SND_WND = 24, 228
"""Offsets of tcpi_unacked and, in Linux 5.4 and newer, of tcpi_snd_wnd."""


def main() -> None:
    mode, address, port, *rest = sys.argv[1:]
    wishes = dict(each.split("=", 1) for each in rest)
    MODES[mode](address, int(port), wishes)


def _connect(address: str, port: int, wishes: dict[str, str]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    _dress(sock, wishes)
    deadline = time.monotonic() + 10
    while True:
        try:
            sock.connect((address, port))
            return sock
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _accept(address: str, port: int, wishes: dict[str, str]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _dress(listener, wishes)
    listener.bind((address, port))
    listener.listen(8)
    return listener.accept()[0]


def _dress(sock: socket.socket, wishes: dict[str, str]) -> None:
    if "keepalive" in wishes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    if "user_timeout" in wishes:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(wishes["user_timeout"]))


def pour(address: str, port: int, wishes: dict[str, str]) -> None:
    """Writes `unit` for ever (or `bytes` of it) and reads nothing for `until` seconds; then reads all, if asked to."""
    sock = _connect(address, port, wishes)
    unit = wishes.get("unit", "x" * 1024).encode().decode("unicode_escape").encode() * int(wishes.get("times", "1"))
    left, ends = int(wishes.get("bytes", 1 << 40)), time.monotonic() + float(wishes.get("until", 3600))
    sock.setblocking(False)
    while left > 0 and time.monotonic() < ends:
        try:
            left -= sock.send(unit[: min(left, len(unit))])
        except BlockingIOError:
            time.sleep(0.01)
    sock.setblocking(True)
    if "then_read" in wishes:
        _drain(sock, float(wishes["then_read"]))
    else:
        time.sleep(3600)


def block(address: str, port: int, wishes: dict[str, str]) -> None:
    """Writes for ever in blocking calls and never reads."""
    sock = _connect(address, port, wishes)
    while True:
        sock.sendall(b"y" * 1000)


def echo(address: str, port: int, wishes: dict[str, str]) -> None:
    sock = _accept(address, port, wishes)
    while data := sock.recv(int(wishes.get("read", "4096"))):
        sock.sendall(data)
    sock.close()


def both_pour(address: str, port: int, wishes: dict[str, str]) -> None:
    """The accepting half of two that both only write."""
    sock = _accept(address, port, wishes)
    while True:
        sock.sendall(b"z" * 700)


def late_echo(address: str, port: int, wishes: dict[str, str]) -> None:
    """Pours as soon as it has a connection, and reads only after a while: then both go on to their ends."""
    sock = _accept(address, port, wishes)
    size, ends = int(wishes["bytes"]), time.monotonic() + float(wishes["until"])
    sock.setblocking(False)
    while size > 0 and time.monotonic() < ends:
        try:
            size -= sock.send(b"w" * min(size, 1000))
        except BlockingIOError:
            time.sleep(0.01)
    sock.setblocking(True)
    _drain(sock, 0)


def _drain(sock: socket.socket, pause: float) -> None:
    sock.settimeout(3)
    try:
        while sock.recv(2048):
            time.sleep(pause)
    except TimeoutError:
        pass
    sock.close()


def slow_reader(address: str, port: int, wishes: dict[str, str]) -> None:
    sock = _accept(address, port, wishes)
    while sock.recv(int(wishes.get("read", "1500"))):
        time.sleep(float(wishes.get("pause", "0.05")))
    sock.close()


def slow_both(address: str, port: int, wishes: dict[str, str]) -> None:
    """Reads and writes in turns, slowly, in a fixed rhythm; as client and, with `serve`, as server."""
    sock = _accept(address, port, wishes) if "serve" in wishes else _connect(address, port, wishes)
    sock.setblocking(False)
    left, ends = int(wishes["bytes"]), time.monotonic() + float(wishes["until"])
    while time.monotonic() < ends:
        turn = time.monotonic() + float(wishes["pause"])
        while left and time.monotonic() < turn:
            try:
                left -= sock.send(b"v" * min(1000, left))
            except BlockingIOError:
                time.sleep(0.005)
        try:
            while sock.recv(3000):
                pass
        except BlockingIOError:
            time.sleep(0.005)
    sock.close()


def idle(address: str, port: int, wishes: dict[str, str]) -> None:
    sock = _accept(address, port, wishes) if "serve" in wishes else _connect(address, port, wishes)
    sock.sendall(b"hello")
    time.sleep(3600)


def fill(address: str, port: int, wishes: dict[str, str]) -> None:
    """Sends exactly what the peer has room for, until its window is 0 and nothing is unsent; then is idle."""
    sock = _accept(address, port, wishes) if "serve" in wishes else _connect(address, port, wishes)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while wnd := _room(sock):
        sock.sendall(b"u" * min(wnd, 512))
    time.sleep(3600)


def _room(sock: socket.socket) -> int:
    """The peer's window, once all that was sent is acknowledged."""
    while True:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
        (unacked,) = struct.unpack_from("=I", info, TCP_INFO_UNACKED)
        if not unacked:
            return int(struct.unpack_from("=I", info, TCP_INFO_SND_WND)[0])
        time.sleep(0.002)


def hungry(address: str, port: int, wishes: dict[str, str]) -> None:
    """Waits for a first byte that never comes, on both sides."""
    sock = _accept(address, port, wishes) if "serve" in wishes else _connect(address, port, wishes)
    sock.recv(1)


def half_closed(address: str, port: int, wishes: dict[str, str]) -> None:
    """Sends, half-closes, then reads slowly."""
    sock = _connect(address, port, wishes)
    sock.sendall(b"t" * int(wishes["bytes"]))
    sock.shutdown(socket.SHUT_WR)
    time.sleep(0.5)
    _drain(sock, 0.01)


def duplex(address: str, port: int, wishes: dict[str, str]) -> None:
    """A healthy client of an echo: reads while it writes."""

    async def play() -> None:
        reader, writer = await asyncio.open_connection(address, port)

        async def write() -> None:
            for _ in range(int(wishes["bytes"]) // 1000):
                writer.write(b"s" * 1000)
                await writer.drain()
            writer.write_eof()

        task = asyncio.create_task(write())
        while await reader.read(4096):
            pass
        await task
        writer.close()

    asyncio.run(play())


def drain_echo(address: str, port: int, wishes: dict[str, str]) -> None:  # noqa: ARG001 - the form of all
    """asyncio's own echo server of its documentation: read, write, drain."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def play() -> None:
        async with await asyncio.start_server(serve, address, port, limit=4096) as server:
            await server.serve_forever()

    asyncio.run(play())


MODES = {
    each.__name__: each
    for each in (
        pour, block, echo, both_pour, late_echo, slow_reader, slow_both, idle, fill, hungry, half_closed, duplex,
        drain_echo,
    )
}  # fmt: skip

if __name__ == "__main__":
    main()
