"""Memory is short in a container, or a threshold is passed there: cgroups of version 1, where this machine has them."""

import contextlib
import os
import select
import socket
import struct
import time
from dataclasses import replace
from pathlib import Path

from tests.corpus.case import LATE_S, LATER_S, Case, Truth, accepting, connecting, listening
from tests.corpus.cases.unasked import SO_BUF_LOCK
from tests.corpus.programs import echo, fill, read_all, reads_when, write_then_read
from tests.corpus.stage import Stage

MEMORY = Path("/sys/fs/cgroup/memory")
SIZE = 200_000
"""Bytes: more than a buffer that was cut takes, and less than one that has grown again."""
SENDS = "sends"
"""The file by which the limited side says that it sends now."""


def _group(pid: int) -> Path:
    return MEMORY / f"corpus-{pid}"


def _remove(stage: Stage, part: str) -> None:
    group = _group(stage.pids[part])
    for pid in (group / "cgroup.procs").read_text().split():
        (MEMORY / "cgroup.procs").write_text(pid)
    group.rmdir()


def removed_at_the_end(stage: Stage) -> None:
    stage.stack.callback(_remove, stage, "client")


def begins_to_send(stage: Stage) -> None:
    stage.stack.callback(_remove, stage, "server")
    stage.until((stage.work / SENDS).exists, "the server does not send")


def passes_a_threshold(connection: socket.socket) -> None:
    """A third program takes memory, and the kernel signals an eventfd that nobody else has."""
    group = _group(os.getpid())
    group.mkdir()
    told = os.eventfd(0)
    if os.fork() == 0:
        connection.close()
        os.close(told)
        (group / "cgroup.procs").write_text(str(os.getpid()))
        time.sleep(LATE_S)
        _memory = bytes(1 << 26).replace(b"\0", b"x")
        time.sleep(60)
    usage = os.open(group / "memory.usage_in_bytes", os.O_RDONLY)
    (group / "cgroup.event_control").write_text(f"{told} {usage} {1 << 25}")
    os.close(usage)
    reads_when(connection, told)


def _neighbour(into: socket.socket, idle: socket.socket) -> None:
    """Takes what memory it can get, and frees it later. What `idle` sends then ends the state of pressure."""
    into.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            into.send(bytes(1 << 16))
    Path(os.environ["TMPDIR"], "full").touch()
    while not Path(os.environ["TMPDIR"], SENDS).exists():
        time.sleep(0.02)
    time.sleep(LATE_S)
    into.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=2i", 1, 0))
    into.close()
    idle.send(b"!")
    time.sleep(60)


def cut_by_pressure(listener: socket.socket, polls: bool, control: str) -> None:
    """Its send buffer is cut while its container's TCP memory is short. It grows again when a probe is answered."""
    work, group = Path(os.environ["TMPDIR"]), _group(os.getpid())
    with socket.create_server(("127.0.0.1", 0)) as outside:
        if os.fork() == 0:
            listener.close()
            _kept = [outside.accept()[0] for _ in range(2)]
            time.sleep(60)
        group.mkdir()
        limit = group / "memory.kmem.tcp.limit_in_bytes"
        limit.write_text(str(100 << 20))
        (group / "cgroup.procs").write_text(str(os.getpid()))
        if os.fork() == 0:
            listener.close()
            _neighbour(*(socket.create_connection(outside.getsockname()) for _ in range(2)))
    connection = listener.accept()[0]
    listener.close()
    Path("/proc/sys/net/ipv4/tcp_wmem").write_text("4096 16384 4194304")
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
    connection.setsockopt(socket.SOL_SOCKET, SO_BUF_LOCK, 0)
    while not (work / "full").exists():
        time.sleep(0.02)
    time.sleep(1)
    limit.write_text(str(int((group / "memory.kmem.tcp.usage_in_bytes").read_text()) + 110_000))
    (work / SENDS).touch()
    if polls:
        fill(connection)
        connection.setblocking(False)
        poll = select.poll()
        poll.register(connection, select.POLLOUT)
        poll.poll()
        connection.setblocking(True)
    else:
        connection.sendall(bytes(SIZE))
    read_all(connection)


def writes_from_a_fixed_buffer(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    write_then_read(connection)


def _cut(name: str, summary: str, polls: bool, control: str) -> Case:
    server = listening(cut_by_pressure, polls=polls, control=control)
    case = Case(name, summary, Truth.LATER, server, connecting(writes_from_a_fixed_buffer), watch_s=LATER_S)
    return replace(case, act=begins_to_send, client_mtu=9000)


CASES: tuple[Case, ...] = (
    Case(
        "threshold-passed",
        "The kernel signals an eventfd for a memory threshold.",
        Truth.LATER,
        accepting(echo),
        connecting(passes_a_threshold),
        act=removed_at_the_end,
        watch_s=LATER_S,
        grades=frozenset({"qualified"}),
        named="threshold",
    ),
    _cut("cut-by-pressure", "A send buffer that memory pressure has cut grows again.", polls=False, control="reno"),
    _cut("cut-by-pressure-polls", "Likewise, while a poll waits for room.", polls=True, control="reno"),
    _cut("cut-by-pressure-cubic", "Likewise, by another congestion control.", polls=False, control="cubic"),
)
CASES = CASES if (MEMORY / "memory.kmem.tcp.limit_in_bytes").exists() else ()
