"""Servers from Debian's packages that answer while they read, as they are, with all their other threads and timers."""

import socket
import sys
from typing import NoReturn

from tests.corpus.case import LATE_S, LATER_S, Case, Command, Python, Truth, connecting
from tests.corpus.programs import write_and_read_later, write_only

OPEN_WORLD = frozenset({"proven", "proven-closed-world", "qualified", "proven-until"})
LISTENS_TOO = OPEN_WORLD - {"proven"}
"""A listener wakes the same process: nobody may leave it out."""


def ask_memcached(connection: socket.socket) -> NoReturn:
    """Asks for the same kilobyte for ever, and reads no answer."""
    connection.sendall(b"set k 0 0 1000\r\n" + b"v" * 1000 + b"\r\n")
    while True:
        connection.sendall(b"get k\r\n" * 32)


def ask_http(connection: socket.socket) -> NoReturn:
    """HTTP pipelining, without reading."""
    while True:
        connection.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n" * 8)


SOCAT = Command(("socat", "TCP-LISTEN:@PORT@,bind=@ADDRESS@,reuseaddr,fork", "EXEC:cat"))
NCAT = Command(("ncat", "--listen", "--exec", "/bin/cat", "@ADDRESS@", "@PORT@"))
BUSYBOX = Command(("busybox", "nc", "-ll", "-p", "@PORT@", "-e", "cat"))
MEMCACHED = Command(("memcached", "-u", "nobody", "-l", "@ADDRESS@", "-p", "@PORT@", "-U", "0", "-t", "1", "-m", "16"))
HTTP = Command(
    (sys.executable, "-m", "http.server", "--protocol=HTTP/1.1", "--bind=@ADDRESS@", "--directory=@WORK@", "@PORT@"),
    {"page": "x" * 20_000},
)
NODE_PIPES = Command(
    ("node", "@WORK@/server.js"),
    {"server.js": "require('net').createServer(s => s.pipe(s)).listen(@PORT@, '@ADDRESS@')\n"},
)
NODE_READS_LATER = Command(
    ("node", "@WORK@/server.js"),
    {
        "server.js": "require('net').createServer(s => { s.pipe(s); setTimeout(() => { s.unpipe(s); "
        f"s.on('data', () => {{}}); s.resume() }}, {LATE_S * 1000}) }}).listen(@PORT@, '@ADDRESS@')\n"
    },
)
JAVA_ECHO = """import java.net.*;
public class Echo {
    public static void main(String[] a) throws Exception {
        ServerSocket listener = new ServerSocket(@PORT@, 50, InetAddress.getByName("@ADDRESS@"));
        while (true) {
            Socket s = listener.accept();
            new Thread(() -> {
                try { s.getInputStream().transferTo(s.getOutputStream()); } catch (Exception e) { }
            }).start();
        }
    }
}
"""
JAVA = Command(("java", "-Xmx64m", "-XX:TieredStopAtLevel=1", "@WORK@/Echo.java"), {"Echo.java": JAVA_ECHO})
JAVA_LATER = Command(
    JAVA.argv,
    {
        "Echo.java": JAVA_ECHO.replace(
            "new Thread(() -> {",
            f"new Thread(() -> {{ try {{ Thread.sleep({int(LATE_S * 1000)}); s.getInputStream().skip(1 << 30); }} "
            "catch (Exception e) { } }).start();\n            new Thread(() -> {",
        )
    },
)


def _dead(
    name: str,
    summary: str,
    server: Command,
    client: Python | None = None,
    grades: frozenset[str] = LISTENS_TOO,
    *,
    hard: bool = False,
) -> Case:
    client = client or connecting(write_only)
    return Case(name, summary, Truth.DEADLOCK, server, client, grades=grades, hard=hard)


def _later(name: str, summary: str, server: Command, client: Python | None = None) -> Case:
    client = client or connecting(write_and_read_later, later_s=LATE_S)
    return Case(name, summary, Truth.LATER, server, client, watch_s=LATER_S)


CASES = (
    _dead("socat-cat", "socat, a process a connection, and cat behind it.", SOCAT, grades=OPEN_WORLD),
    _later("socat-cat-late-client", "The same; the client's reader comes later.", SOCAT),
    _dead("ncat-cat", "ncat and cat, which has inherited the socket.", NCAT, grades=OPEN_WORLD),
    _dead("busybox-nc-cat", "cat alone, with the socket as its input and its output.", BUSYBOX, grades=OPEN_WORLD),
    _dead(
        "memcached-gets",
        "memcached asked without end; its clock ticks each second.",
        MEMCACHED,
        connecting(ask_memcached),
        hard=True,
    ),
    _dead(
        "http-pipelining",
        "Python's http.server, whose main thread looks up each 0.5 s.",
        HTTP,
        connecting(ask_http),
        hard=True,
    ),
    _dead("node-pipe", "Node: socket.pipe(socket).", NODE_PIPES),
    _later("node-reads-later", "Node with a timer that lets it read on.", NODE_READS_LATER, connecting(write_only)),
    _dead("java-echo", "A JVM with all its housekeeping; a thread a connection.", JAVA, hard=True),
    _later("java-reads-later", "A JVM with a thread that sleeps, then reads.", JAVA_LATER, connecting(write_only)),
)
