"""Records the captures of this folder with the truth beside them: real programs, real TCP, in namespaces of its own.

Usage, as root on Linux with the packages of packages.txt: python3 -m tests.captures.record [NAME...]

    a (client) ── veth, or two TAP devices and the forwarder below ── b (server)

tcpdump captures in one of them. The truth is read from the sockets, never from packets: `ss` looks at both namespaces
four times a second, and a connection is a deadlock if and only if in the end both its sockets had held unread and
unsent bytes for a second, and neither moved another byte for as long as it lived. So a reader who is merely late is
none. The forwarder stands in for netem, which not every kernel has: it delays, loses, repeats and reorders by a seed.
"""

import ctypes
import fcntl
import gzip
import heapq
import json
import os
import random
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
A, B = "198.18.30.1", "198.18.30.2"
A6, B6 = "2001:2::a", "2001:2::b"
SQUEEZED = "4096 8192 8192"
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


@dataclass(frozen=True)
class Scene:
    """One capture. Commands may name {b} (the server's address), {port}, {peer} (our own programs), {dir}."""

    name: str
    program: str
    servers: tuple[str, ...]
    clients: tuple[str, ...]
    seconds: float
    port: int = 7777
    ip: int = 4
    rmem: str | None = SQUEEZED
    offload: bool = True
    path: str | None = None
    """None: a veth pair; else the forwarder's wishes, such as 'delay=4 loss=0.02 seed=1'."""
    capture: str = "-i x0 -s 128"
    where: str = "a"
    late: float = 0.0
    """Seconds after the start at which tcpdump begins."""
    settings: str = ""
    files: dict[str, str] = field(default_factory=dict)
    kill_client: float | None = None
    kill_server: float | None = None
    filter: str = "tcp"


PEER = "{peer}"
POUR = f"{PEER} pour {{b}} {{port}} "
LOSSY = "delay=4 loss=0.02 reorder=0.02 repeat=0.01 seed="
NGINX = """
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/e.log;
events {} http {
access_log off;
send_timeout TIMEOUT;
keepalive_requests 1000000;
client_body_temp_path {dir}/t1;
proxy_temp_path {dir}/t2;
fastcgi_temp_path {dir}/t3;
uwsgi_temp_path {dir}/t4;
scgi_temp_path {dir}/t5;
server {
listen 7777;
listen [::]:7777;
root {dir};
} }
"""
LIGHTTPD = """
server.document-root = "{dir}"
server.port = 7777
server.max-keep-alive-requests = 100000
server.stream-response-body = 1
"""
HAPROXY = """
global
  maxconn 100
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen x
  bind 198.18.30.2:7777
  server e 198.18.30.1:7778
"""
GET = "GET /f HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"


def pouring(
    name: str,
    program: str,
    server: str,
    *more: str,
    client: str = POUR,
    seconds: float = 3.5,
    **wishes: Any,  # noqa: ANN401 - fields of Scene
) -> Scene:
    """Where the client writes and does not read, unless another client is given."""
    return Scene(name, program, (server, *more), (client,), seconds, **wishes)


INETD = "inetutils-inetd -d {dir}/inetd.conf"
SCENES = [
    # The freezes.
    pouring("socat-cat", "socat", "socat TCP-LISTEN:{port},fork EXEC:cat", capture="-i x0 -s 96"),
    pouring(
        "socat-cat-default-buffers",
        "socat",
        "socat -b 4096 TCP-LISTEN:{port},fork EXEC:cat",
        rmem="4096 131072 600000",
        client=POUR + "times=64",
        capture="-i x0 -s 96",
    ),
    pouring("socat-pipe-ipv6", "socat", "socat TCP6-LISTEN:{port},fork PIPE", ip=6),
    pouring("ncat-cat", "ncat", "ncat -l -k -c cat {b} {port}", capture="-i any -s 100"),
    pouring(
        "ncat-cat-no-offload",
        "ncat",
        "ncat -l -k -c cat {b} {port}",
        offload=False,
        rmem="4096 16384 16384",
        client=POUR + "times=8",
    ),
    pouring(
        "inetd-echo", "inetutils-inetd", INETD, files={"inetd.conf": "7777 stream tcp4 nowait root /bin/cat cat\n"}
    ),
    pouring(
        "nginx-pipelining",
        "nginx",
        "nginx -p {dir} -c {dir}/nginx.conf",
        files={"nginx.conf": NGINX.replace("TIMEOUT", "1h"), "f": "F" * 60000},
        client=POUR + f"unit='{GET}' times=40",
    ),
    pouring(
        "nginx-send-timeout",
        "nginx",
        "nginx -p {dir} -c {dir}/nginx.conf",
        files={"nginx.conf": NGINX.replace("TIMEOUT", "3s"), "f": "F" * 60000},
        client=POUR + f"unit='{GET}' times=40",
        seconds=6.5,
    ),
    pouring(
        "nginx-pipelining-ipv6",
        "nginx",
        "nginx -p {dir} -c {dir}/nginx.conf",
        ip=6,
        files={"nginx.conf": NGINX.replace("TIMEOUT", "1h"), "f": "F" * 60000},
        client=POUR + f"unit='{GET}' times=40",
    ),
    pouring(
        "lighttpd-pipelining",
        "lighttpd",
        "lighttpd -D -f {dir}/l.conf",
        files={"l.conf": LIGHTTPD, "f": "F" * 60000},
        client=POUR + f"unit='{GET}' times=40",
    ),
    pouring(
        "memcached-get",
        "memcached",
        "memcached -u root -l {b} -p {port} -U 0",
        client=POUR + "unit='set k 0 0 3000\\r\\n" + "V" * 3000 + "\\r\\n" + "get k\\r\\n" * 900 + "' times=4",
    ),
    pouring(
        "haproxy-chain",
        "haproxy",
        "haproxy -f {dir}/h.cfg",
        files={"h.cfg": HAPROXY},
        capture="-i x0 -s 128",
        client=POUR,
        seconds=4.5,
        settings="echo-at-a",
    ),
    pouring(
        "vsftpd-feat",
        "vsftpd",
        "vsftpd {dir}/v.conf",
        files={
            "v.conf": "listen=YES\nlisten_port=7777\nbackground=NO\nanonymous_enable=YES\nsecure_chroot_dir={dir}\n"
        },
        client=POUR + "unit='FEAT\\r\\n' times=200",
        seconds=4.5,
    ),
    pouring("python-echo", "python", f"{PEER} echo {{b}} {{port}}"),
    pouring("python-echo-small-reads", "python", f"{PEER} echo {{b}} {{port}} read=96", client=POUR + "unit=abcdefgh"),
    pouring("python-both-write", "python", f"{PEER} both_pour {{b}} {{port}}", client=f"{PEER} block {{b}} {{port}}"),
    pouring(
        "python-both-write-default-buffers",
        "python",
        f"{PEER} both_pour {{b}} {{port}}",
        client=f"{PEER} block {{b}} {{port}}",
        rmem="4096 131072 400000",
    ),
    pouring(
        "python-both-write-no-scale",
        "python",
        f"{PEER} both_pour {{b}} {{port}}",
        client=f"{PEER} block {{b}} {{port}}",
        settings="tcp_window_scaling=0",
    ),
    pouring(
        "python-both-write-no-timestamps",
        "python",
        f"{PEER} both_pour {{b}} {{port}}",
        client=f"{PEER} block {{b}} {{port}}",
        settings="tcp_timestamps=0 tcp_sack=0",
    ),
    pouring("asyncio-drain-echo", "python", f"{PEER} drain_echo {{b}} {{port}}"),
    pouring("late-capture", "socat", "socat TCP-LISTEN:{port},fork EXEC:cat", late=2.0, seconds=23.0),
    pouring("late-and-short-capture", "socat", "socat TCP-LISTEN:{port},fork EXEC:cat", late=2.0, seconds=9.0),
    pouring(
        "late-capture-any",
        "python",
        f"{PEER} both_pour {{b}} {{port}}",
        client=f"{PEER} block {{b}} {{port}}",
        late=1.2,
        seconds=15.5,
        capture="-i any -s 128",
    ),
    pouring("killed-client", "python", f"{PEER} echo {{b}} {{port}}", kill_client=3.5, seconds=4.5),
    pouring("killed-server", "socat", "socat TCP-LISTEN:{port} EXEC:cat", kill_server=3.5, seconds=4.5),
    pouring("user-timeout", "python", f"{PEER} echo {{b}} {{port}}", client=POUR + "user_timeout=2500", seconds=8.0),
    pouring(
        "lossy-echo-freeze",
        "socat",
        "socat TCP-LISTEN:{port},fork EXEC:cat",
        path=LOSSY + "1",
        rmem="4096 32768 65536",
        seconds=4.5,
    ),
    pouring(
        "lossy-both-write-freeze",
        "python",
        f"{PEER} both_pour {{b}} {{port}}",
        client=f"{PEER} block {{b}} {{port}}",
        path=LOSSY + "2",
        rmem="4096 32768 65536",
        seconds=4.5,
    ),
    pouring("lossy-ipv6-freeze", "ncat", "ncat -6 -l -k -c cat {b} {port}", ip=6, path=LOSSY + "3", seconds=4.5),
    pouring(
        "very-lossy-freeze",
        "socat",
        "socat TCP-LISTEN:{port},fork EXEC:cat",
        path="delay=2 loss=0.06 reorder=0.05 repeat=0.03 seed=7",
        rmem="4096 32768 65536",
        seconds=5.5,
    ),
    Scene("six-freezes", "socat", ("socat TCP-LISTEN:{port},fork EXEC:cat",), (POUR,) * 6, 4.0),
    Scene("six-freezes-late", "ncat", ("ncat -l -k -c cat {b} {port}",), (POUR,) * 6, 15.5, late=1.5),
    Scene("eight-freezes-ipv6", "ncat", ("ncat -6 -l -k -c cat {b} {port}",), (POUR,) * 8, 4.0, ip=6),
    Scene(
        "four-freezes-nginx",
        "nginx",
        ("nginx -p {dir} -c {dir}/nginx.conf",),
        (POUR + f"unit='{GET}' times=40",) * 4,
        4.0,
        files={"nginx.conf": NGINX.replace("TIMEOUT", "1h"), "f": "F" * 60000},
    ),
    Scene(
        "four-freezes-lossy",
        "lighttpd",
        ("lighttpd -D -f {dir}/l.conf",),
        (POUR + f"unit='{GET}' times=40",) * 4,
        5.0,
        files={"l.conf": LIGHTTPD, "f": "F" * 60000},
        path=LOSSY + "11",
    ),
    Scene(
        "mixed",
        "socat",
        ("socat TCP-LISTEN:{port},fork EXEC:cat",),
        (
            POUR,
            f"{PEER} duplex {{b}} {{port}} bytes=60000",
            POUR,
            f"{PEER} idle {{b}} {{port}}",
            f"{PEER} hungry {{b}} {{port}}",
            POUR,
        ),
        4.5,
        rmem="4096 16384 16384",
    ),
    # What looks like one and is none.
    pouring(
        "late-reader",
        "python",
        f"{PEER} late_echo {{b}} {{port}} bytes=40000 until=2.5",
        client=POUR + "bytes=40000 until=3 then_read=0",
        seconds=8,
    ),
    pouring(
        "late-reader-ipv6",
        "python",
        f"{PEER} late_echo {{b}} {{port}} bytes=30000 until=1.5",
        ip=6,
        client=POUR + "bytes=30000 until=2 then_read=0",
        seconds=7,
    ),
    pouring(
        "late-client",
        "socat",
        "socat TCP-LISTEN:{port},fork EXEC:cat",
        client=POUR + "bytes=60000 until=2.2 then_read=0",
        seconds=7,
    ),
    pouring(
        "late-client-lossy",
        "socat",
        "socat TCP-LISTEN:{port},fork EXEC:cat",
        client=POUR + "bytes=60000 until=3 then_read=0",
        seconds=8,
        path=LOSSY + "4",
    ),
    pouring(
        "slow-both",
        "python",
        f"{PEER} slow_both {{b}} {{port}} serve=1 bytes=100000 until=6 pause=0.7",
        client=f"{PEER} slow_both {{b}} {{port}} bytes=100000 until=6 pause=0.8",
        seconds=5.2,
    ),
    pouring(
        "slow-both-cut",
        "python",
        f"{PEER} slow_both {{b}} {{port}} serve=1 bytes=9000000 until=60 pause=1.1",
        client=f"{PEER} slow_both {{b}} {{port}} bytes=9000000 until=60 pause=1.1",
        seconds=5.6,
    ),
    pouring(
        "slow-reader",
        "python",
        f"{PEER} slow_reader {{b}} {{port}}",
        client=POUR + "bytes=60000 then_read=0",
        seconds=5,
    ),
    pouring("slow-reader-cut", "python", f"{PEER} slow_reader {{b}} {{port}} pause=0.2", client=POUR, seconds=3),
    pouring("stop-and-go", "python", f"{PEER} slow_reader {{b}} {{port}} pause=1.2 read=20000", client=POUR, seconds=5),
    pouring("one-sided", "python", f"{PEER} idle {{b}} {{port}} serve=1", seconds=4),
    pouring(
        "one-sided-default-buffers",
        "python",
        f"{PEER} idle {{b}} {{port}} serve=1",
        client=POUR + "times=32",
        rmem="4096 131072 300000",
        seconds=3.0,
    ),
    pouring(
        "filled-keepalive",
        "python",
        f"{PEER} fill {{b}} {{port}} serve=1 keepalive=1",
        client=f"{PEER} fill {{b}} {{port}} keepalive=1",
        seconds=7,
    ),
    pouring(
        "filled-keepalive-late",
        "python",
        f"{PEER} fill {{b}} {{port}} serve=1 keepalive=1",
        client=f"{PEER} fill {{b}} {{port}} keepalive=1",
        late=3.2,
        seconds=8.5,
    ),
    pouring(
        "filled-idle", "python", f"{PEER} fill {{b}} {{port}} serve=1", client=f"{PEER} fill {{b}} {{port}}", seconds=4
    ),
    pouring("blackhole", "python", f"{PEER} idle {{b}} {{port}} serve=1", path="delay=1 dark=1.5 seed=1", seconds=8),
    pouring(
        "blackhole-both",
        "socat",
        "socat TCP-LISTEN:{port},fork EXEC:cat",
        client=POUR + "bytes=60000 until=9 then_read=0",
        path="delay=1 dark=0.45 seed=1 light=6",
        seconds=14,
    ),
    pouring(
        "idle",
        "python",
        f"{PEER} idle {{b}} {{port}} serve=1 keepalive=1",
        client=f"{PEER} idle {{b}} {{port}} keepalive=1",
        seconds=4,
    ),
    pouring(
        "read-read",
        "python",
        f"{PEER} hungry {{b}} {{port}} serve=1",
        client=f"{PEER} hungry {{b}} {{port}}",
        seconds=2,
    ),
    pouring(
        "half-closed",
        "socat",
        "socat TCP-LISTEN:{port},fork EXEC:cat",
        client=f"{PEER} half_closed {{b}} {{port}} bytes=12000",
        seconds=4,
    ),
    pouring("iperf3", "iperf3", "iperf3 -s -p {port}", client="iperf3 -c {b} -p {port} -n 300K", seconds=2, rmem=None),
    pouring(
        "iperf3-bidir-lossy",
        "iperf3",
        "iperf3 -s -p {port}",
        client="iperf3 -c {b} -p {port} --bidir -t 2 -b 500K -l 4K",
        seconds=3.5,
        rmem="4096 32768 65536",
        path=LOSSY + "5",
        capture="-i x0 -s 100",
    ),
    pouring(
        "iperf3-reverse-lossy",
        "iperf3",
        "iperf3 -s -p {port}",
        client="iperf3 -c {b} -p {port} -R -n 400K",
        seconds=4,
        rmem=None,
        path="delay=5 loss=0.03 reorder=0.05 seed=6",
        where="b",
    ),
    pouring(
        "redis-flood",
        "redis-server",
        "redis-server --port {port} --bind {b} --save '' --protected-mode no",
        client=POUR + "unit='PING\\r\\n' times=100 bytes=120000 until=1 then_read=0",
        seconds=5,
    ),
    pouring(
        "curl-slow",
        "nginx",
        "nginx -p {dir} -c {dir}/nginx.conf",
        files={"nginx.conf": NGINX.replace("TIMEOUT", "1h"), "f": "F" * 200000},
        client="curl -s -o /dev/null --limit-rate 60K http://{b}:7777/f",
        seconds=4.5,
    ),
    pouring(
        "curl-lighttpd-no-offload",
        "lighttpd",
        "lighttpd -D -f {dir}/l.conf",
        files={"l.conf": LIGHTTPD, "f": "F" * 300000},
        client="curl -s -o /dev/null http://{b}:7777/f",
        offload=False,
        seconds=2,
    ),
    pouring(
        "curl-bulk-lossy",
        "lighttpd",
        "lighttpd -D -f {dir}/l.conf",
        files={"l.conf": LIGHTTPD, "f": "F" * 1500000},
        client="curl -s -o /dev/null http://{b}:7777/f",
        rmem=None,
        path="delay=2 loss=0.004 reorder=0.01 repeat=0.002 seed=12",
        seconds=4,
        capture="-i x0 -s 96",
    ),
    Scene(
        "curl-many-lossy",
        "lighttpd",
        ("lighttpd -D -f {dir}/l.conf",),
        ("curl -s -o /dev/null http://{b}:7777/f",) * 5,
        4,
        files={"l.conf": LIGHTTPD, "f": "F" * 50000},
        rmem=None,
        path=LOSSY + "8",
    ),
    pouring(
        "memcached-healthy",
        "memcached",
        "memcached -u root -l {b} -p {port} -U 0",
        client=f"{PEER} pour {{b}} {{port}} unit='version\\r\\n' bytes=900 then_read=0",
        seconds=3,
    ),
    pouring(
        "duplex-echo",
        "socat",
        "socat TCP-LISTEN:{port},fork EXEC:cat",
        client=f"{PEER} duplex {{b}} {{port}} bytes=100000",
        seconds=3,
    ),
    pouring(
        "duplex-echo-lossy-ipv6",
        "ncat",
        "ncat -6 -l -k -c cat {b} {port}",
        ip=6,
        client=f"{PEER} duplex {{b}} {{port}} bytes=60000",
        seconds=6,
        path=LOSSY + "9",
        rmem="4096 16384 32768",
    ),
    pouring("one-direction", "socat", "socat TCP-LISTEN:{port},fork EXEC:cat", filter=f"src host {A}"),
    pouring(
        "haproxy-healthy",
        "haproxy",
        "haproxy -f {dir}/h.cfg",
        files={"h.cfg": HAPROXY},
        client=f"{PEER} duplex {{b}} {{port}} bytes=40000",
        seconds=3,
        settings="echo-at-a",
    ),
]


@contextmanager
def hosts(scene: Scene) -> Iterator[tuple[str, str]]:
    """Two namespaces, connected; everything ends with them."""
    names = (
        f"zwl-a-{os.getpid()}-{threading.get_ident() % 9973}",
        f"zwl-b-{os.getpid()}-{threading.get_ident() % 9973}",
    )
    with ExitStack() as undo:
        for name in names:
            run(f"ip netns add {name}")
            undo.callback(run, f"ip netns del {name}")
        if scene.path is None:
            run(f"ip -n {names[0]} link add x0 type veth peer name x0 netns {names[1]}")
        else:
            taps = [tap(name) for name in names]
            stop = threading.Event()
            worker = threading.Thread(target=forward, args=(taps, scene.path, stop))
            worker.start()
            for each in taps:
                undo.callback(os.close, each)
            undo.callback(worker.join)
            undo.callback(stop.set)
        for name, address, address6 in zip(names, (A, B), (A6, B6), strict=True):
            run(f"ip -n {name} address add {address}/24 dev x0")
            run(f"ip -n {name} address add {address6}/64 dev x0 nodad")
            run(f"ip -n {name} link set lo up")
            run(f"ip -n {name} link set x0 up")
            if not scene.offload:
                run(f"ip netns exec {name} ethtool -K x0 tso off gso off gro off")
            for key in ("tcp_rmem", "tcp_wmem") if scene.rmem else ():
                sysctl(name, key, scene.rmem or "")
            for wish in scene.settings.split():
                if "=" in wish:
                    sysctl(name, *wish.split("="))
        yield names


def sysctl(name: str, key: str, value: str) -> None:
    subprocess.run(["ip", "netns", "exec", name, "sh", "-c", f"echo '{value}' > /proc/sys/net/ipv4/{key}"], check=True)


def run(command: str) -> None:
    subprocess.run(command.split(), check=True, capture_output=True)


def tap(name: str) -> int:
    """A TAP device x0 in the namespace; its other end is the descriptor."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    theirs = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        _setns(theirs)
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", b"x0", IFF_TAP | IFF_NO_PI))
        return device
    finally:
        _setns(own)
        os.close(own)
        os.close(theirs)


def _setns(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")


def forward(taps: list[int], path: str, stop: threading.Event) -> None:
    """The wire between the two TAP devices: `dark` is the second at which it goes dead, `light` when it comes back."""
    wishes = {key: float(value) for key, value in (each.split("=") for each in path.split())}
    dice, number, began = random.Random(wishes["seed"]), 0, time.monotonic()
    queue: list[tuple[float, int, int, bytes]] = []
    while not stop.is_set():
        now = time.monotonic()
        while queue and queue[0][0] <= now:
            _, _, way, data = heapq.heappop(queue)
            with suppress(OSError):  # The device is not up yet, or already down.
                os.write(taps[way], data)
        ready, _, _ = select.select(taps, [], [], max(0.0, min(0.05, queue[0][0] - now)) if queue else 0.05)
        for each in ready:
            data, now = os.read(each, 65536), time.monotonic()
            dark = wishes.get("dark", 1e9) <= now - began - 1 < wishes.get("light", 1e9)
            if dark or dice.random() < wishes.get("loss", 0):
                continue
            for _ in range(2 if dice.random() < wishes.get("repeat", 0) else 1):
                number += 1
                late = 3.0 if dice.random() < wishes.get("reorder", 0) else 1.0
                heapq.heappush(queue, (now + late * wishes["delay"] / 1000, number, 1 - taps.index(each), data))


class Truth:
    """What the sockets said, four times a second, and for how long both queues of both ends have stood still."""

    def __init__(self, names: tuple[str, str]) -> None:
        self._names = names
        self._last: dict[frozenset[str], tuple[tuple[int, ...], float, bool]] = {}
        self.frozen: dict[frozenset[str], float] = {}
        self.moved: dict[frozenset[str], float] = {}
        self.seen: dict[frozenset[str], int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.25):
            self.look()

    def look(self) -> None:
        ends: dict[tuple[str, str], tuple[int, ...]] = {}
        for name in self._names:
            text = subprocess.run(
                ["ip", "netns", "exec", name, "ss", "-tinOH", "state", "connected"],
                capture_output=True,
                text=True,
                check=False,
            ).stdout
            for line in text.splitlines():
                found = re.match(r"\S+\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S+)(.*)", line)
                if found:
                    counts = [int(value) for value in re.findall(r"bytes_(?:acked|received):(\d+)", found[5])]
                    ends[plain(found[3]), plain(found[4])] = (int(found[1]), int(found[2]), *counts)
        now = time.time()
        for (local, remote), ours in ends.items():
            theirs = ends.get((remote, local))
            if local > remote or theirs is None:
                continue
            key, value = frozenset((local, remote)), (*ours, *theirs)
            full = all(each[0] > 0 and each[1] > 0 for each in (ours, theirs))
            old = self._last.get(key)
            if old is None or old[0] != value:
                if old is not None and old[2] and now - old[1] >= 1.0:
                    # It had been frozen and is not: bytes have moved, so it was no deadlock.
                    self.frozen.pop(key, None)
                self._last[key] = (value, now, full)
            elif full and now - old[1] >= 1.0:
                self.frozen[key] = now - old[1]

    def stop(self) -> dict[str, bool]:
        self._stop.set()
        self._thread.join()
        self.look()
        return {" ".join(sorted(key)): key in self.frozen for key in self._last}


def plain(address: str) -> str:
    """As the lab writes it; a mapped address is one of IPv4."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]").removeprefix("::ffff:").split("%")[0]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def record(scene: Scene) -> None:
    with tempfile.TemporaryDirectory() as folder, hosts(scene) as names, ExitStack() as undo:
        Path(folder).chmod(0o755)
        for name, text in scene.files.items():
            Path(folder, name).write_text(text.replace("{dir}", folder))
        words = {
            "b": B if scene.ip == 4 else B6,
            "port": str(scene.port),
            "peer": f"{sys.executable} {HERE / 'peer.py'}",
            "dir": folder,
        }

        def start(host: str, command: str) -> subprocess.Popen[bytes]:
            for key, value in words.items():
                command = command.replace("{" + key + "}", value)
            process = subprocess.Popen(
                ["ip", "netns", "exec", host, "sh", "-c", "exec " + command],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            undo.callback(end, process)
            return process

        raw = Path(folder, "capture")
        catch = f"tcpdump -q -n -U -Z root --immediate-mode -B 4096 {scene.capture} -w {raw} '{scene.filter}'"
        dump = start(names[0 if scene.where == "a" else 1], catch) if not scene.late else None
        servers = [start(names[1], each) for each in scene.servers]
        if scene.settings == "echo-at-a":
            start(names[0], f"{{peer}} echo {A} 7778")
        time.sleep(1.0)
        truth = Truth(names)
        clients = [start(names[0], each) for each in scene.clients]
        began = time.monotonic()
        marks = sorted(
            (at, what)
            for at, what in (
                (scene.late or None, "dump"),
                (scene.kill_client, "client"),
                (scene.kill_server, "server"),
                (scene.seconds, "end"),
            )
            if at is not None
        )
        for at, what in marks:
            time.sleep(max(0.0, at - (time.monotonic() - began)))
            if what == "dump":
                dump = start(names[0 if scene.where == "a" else 1], catch)
            elif what != "end":
                for process in clients if what == "client" else servers:
                    os.killpg(process.pid, 9)
        assert dump is not None
        dump.terminate()
        dump.wait(5)
        # The truth outlives the capture: whoever moves a byte now was not deadlocked.
        time.sleep(3.0)
        verdicts = truth.stop()
        data = raw.read_bytes()
        with gzip.GzipFile(HERE / f"{scene.name}.pcap.gz", "wb", mtime=0) as stream:
            stream.write(data)
        print(f"{scene.name:36} {len(data):8} bytes  {sum(verdicts.values())} deadlocks of {len(verdicts)}", flush=True)
        (HERE / "truth").mkdir(exist_ok=True)
        facts = {
            "program": scene.program,
            "connections": [{"ends": key.split(), "deadlock": value} for key, value in sorted(verdicts.items())],
        }
        (HERE / "truth" / f"{scene.name}.json").write_text(json.dumps(facts, indent=1) + "\n")


def end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait(5)


def main() -> None:
    wanted = sys.argv[1:]
    missing = [tool for tool in ("tcpdump", "ss", "ip") if not shutil.which(tool)]
    if missing:
        sys.exit(f"record: missing {', '.join(missing)}: apt-get install the packages of packages.txt")
    for scene in SCENES:
        if not wanted or scene.name in wanted:
            record(scene)


if __name__ == "__main__":
    main()
