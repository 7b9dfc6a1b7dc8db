"""What watching costs of a core, beside `ss -tinm` in a loop at the same rate: polls of 1000 pairs, and `lab watch`.

The latter is the whole program, live, on 10 pairs on which nothing happens; beside one that only sleeps, too.
"""

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.stall_poller import StallPoller
from lab.watching import Targets, Watch
from lab.watching.loop import POLL_S

PERIOD_S, PORT = 0.05, 1060
TALK = """
import socket, time
with socket.create_server(("127.0.0.1", 0)) as listener:
    one = socket.create_connection(listener.getsockname())
    other, _ = listener.accept()
while True:
    one.sendall(b"x")
    other.recv(1)
    time.sleep(0.01)
"""
QUIET, STARTED_S = 10, 24
"""By then all has been judged four times, and is judged again once a minute."""


def main(arguments: list[str]) -> int:
    """`scripts/bench watch [PAIRS [SECONDS [QUIET_SECONDS]]]`: 1000 pairs, 5 s; and 10 for 60 s. Needs root."""
    pairs = int(arguments[0]) if arguments else 1000
    seconds = float(arguments[1]) if len(arguments) > 1 else 5.0
    quiet_s = float(arguments[2]) if len(arguments) > 2 else 60.0
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * pairs + 256, 4 * pairs + 256))
    with _inside(pairs) as namespace, closing(Watch(Targets(namespaces=(_path(namespace),)))) as watch:
        found = [each.ends for each in watch.connections()]
        ours = _share(StallPoller(found).found_new_stall, seconds, PERIOD_S, resource.RUSAGE_SELF)
        theirs = _share(partial(_ss, namespace), seconds, PERIOD_S, resource.RUSAGE_CHILDREN)
    print(f"{len(found)} pairs, both ends, every {PERIOD_S * 1000:.0f} ms or as often as it can")
    print(f"{'':24}{'% of a core':>12}{'polls/s':>10}{'ms a poll':>11}")
    for name, (share, rate) in {"lab watch": ours, "anchor: ss -tinm": theirs}.items():
        print(f"{name:24}{share * 100:12.1f}{rate:10.1f}{share / rate * 1000:11.2f}")
    print(f"a poll costs {theirs[0] / theirs[1] / (ours[0] / ours[1]):.1f} times less than the anchor's")
    print(
        f"\n{QUIET} quiet pairs, {1 / POLL_S:.0f} polls a second, {quiet_s:.0f} s, from {STARTED_S} s after the start"
    )
    print(f"{'':24}{'% of a core':>12}")
    for name, share in _live(quiet_s).items():
        print(f"{name:24}{share * 100:12.2f}", flush=True)
    return 0


def _live(seconds: float) -> dict[str, float]:
    """The whole program at work, in two namespaces, and one that only sleeps at its rate; then `ss` at that rate."""
    with _inside(QUIET) as namespace, _inside(QUIET) as other, _talk(other):
        watch = [sys.executable, "-m", "lab", "watch"]
        commands = {
            "lab watch, live": [*watch, "--netns", _path(namespace)],
            "  where others talk": [*watch, "--port", str(PORT)],
            "anchor: only sleeps": [sys.executable, "-I", "-c", f"import time\nwhile True: time.sleep({POLL_S})"],
        }
        running = {name: subprocess.Popen(words, stdout=subprocess.DEVNULL) for name, words in commands.items()}
        try:
            time.sleep(STARTED_S)
            began, before = time.monotonic(), {name: _used_s(each.pid) for name, each in running.items()}
            time.sleep(seconds)
            used = {name: _used_s(each.pid) - before[name] for name, each in running.items()}
            shares = {name: each / (time.monotonic() - began) for name, each in used.items()}
        finally:
            for each in running.values():
                each.kill()
                each.wait()
        anchor, _ = _share(partial(_ss, namespace), min(seconds, 10.0), POLL_S, resource.RUSAGE_CHILDREN)
        return shares | {"anchor: ss -tinm": anchor}


def _used_s(pid: int) -> float:
    """CPU time of a process, by the number of its clock (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


@contextmanager
def _talk(namespace: Namespace) -> Iterator[None]:
    """A pair that nobody watches sends a byte a hundred times a second: the watched ones are asked in each poll."""
    talker = namespace.call(subprocess.Popen, [sys.executable, "-I", "-c", TALK])
    try:
        yield
    finally:
        talker.kill()
        talker.wait()


@contextmanager
def _inside(pairs: int) -> Iterator[Namespace]:
    """A namespace of its own with so many idle pairs."""
    with ExitStack() as stack:
        namespace = stack.enter_context(Namespace.create())
        namespace.call(subprocess.run, ["ip", "link", "set", "lo", "up"], check=True)
        for each in namespace.call(_pairs, pairs):
            stack.enter_context(each)
        yield namespace


def _path(namespace: Namespace) -> str:
    return f"/proc/{os.getpid()}/fd/{namespace.fd}"


def _ss(namespace: Namespace) -> None:
    command = ["ss", "-tinm"]
    namespace.call(subprocess.run, command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def _pairs(number: int) -> list[socket.socket]:
    listener = socket.create_server(("127.0.0.1", PORT), backlog=number)
    made = [listener]
    for _ in range(number):
        made.append(socket.create_connection(listener.getsockname()))
        made.append(listener.accept()[0])
    return made


def _share(poll: Callable[[], object], seconds: float, period_s: float, who: int) -> tuple[float, float]:
    """CPU seconds a second, and polls a second."""
    before, began, polls = resource.getrusage(who), time.monotonic(), 0
    while (now := time.monotonic()) < began + seconds:
        poll()
        polls += 1
        time.sleep(max(0.0, period_s - (time.monotonic() - now)))
    after, taken = resource.getrusage(who), time.monotonic() - began
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used / taken, polls / taken
