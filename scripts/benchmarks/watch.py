"""What watching 1000 idle pairs at 20 Hz costs of a core, beside the anchor: a loop of `ss -tinm` at the same rate."""

import resource
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, closing

from lab.kernel.gate import Gate
from lab.kernel.netns import Namespace
from lab.watch import Targets, Watch

PERIOD_S = 0.05


def main(arguments: list[str]) -> int:
    """`scripts/bench watch [PAIRS [SECONDS]]`: 1000 pairs, 5 seconds. Needs root, for a namespace of its own."""
    pairs = int(arguments[0]) if arguments else 1000
    seconds = float(arguments[1]) if len(arguments) > 1 else 5.0
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * pairs + 256, 4 * pairs + 256))
    with ExitStack() as stack:
        namespace = stack.enter_context(Namespace.create())
        namespace.call(subprocess.run, ["ip", "link", "set", "lo", "up"], check=True)
        for each in namespace.call(_pairs, pairs):
            stack.enter_context(each)
        watch = stack.enter_context(closing(Watch(Targets(namespaces=(f"/proc/self/fd/{namespace.fd}",)))))
        found = [each.ends for each in watch.connections()]
        ours = _share(Gate(found).stands_anew, seconds, resource.RUSAGE_SELF)
        command = ["ss", "-tinm"]
        theirs = _share(
            lambda: namespace.call(subprocess.run, command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
            seconds,
            resource.RUSAGE_CHILDREN,
        )
    print(f"{len(found)} pairs, both ends, every {PERIOD_S * 1000:.0f} ms or as often as it can")
    print(f"{'':24}{'% of a core':>12}{'looks/s':>10}{'ms a look':>11}")
    for name, (share, rate) in {"lab watch": ours, "anchor: ss -tinm": theirs}.items():
        print(f"{name:24}{share * 100:12.1f}{rate:10.1f}{share / rate * 1000:11.2f}")
    print(f"a look costs {theirs[0] / theirs[1] / (ours[0] / ours[1]):.1f} times less than the anchor's")
    return 0


def _pairs(number: int) -> list[socket.socket]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=number)
    made = [listener]
    for _ in range(number):
        made.append(socket.create_connection(listener.getsockname()))
        made.append(listener.accept()[0])
    return made


def _share(look: Callable[[], object], seconds: float, who: int) -> tuple[float, float]:
    """CPU seconds a second, and looks a second."""
    before, began, looks = resource.getrusage(who), time.monotonic(), 0
    while (now := time.monotonic()) < began + seconds:
        look()
        looks += 1
        time.sleep(max(0.0, PERIOD_S - (time.monotonic() - now)))
    after, taken = resource.getrusage(who), time.monotonic() - began
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used / taken, looks / taken
