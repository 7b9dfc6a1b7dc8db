"""Whether the forecast is true: random settings are played until they freeze, and what fitted is held against it.

`scripts/bench forecast [SETTINGS] [SEED]` plays SETTINGS (1000) of them on the netns testbed, six at a time, and then
60 payloads of exactly the low bound and 60 of one byte more than the high bound. It exits 1 if a promise was broken.
Messages of 16 bytes are judged on their own: another stall exists there, which is never counted as a confirmation.
"""

import math
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from lab.forecast import SMALLEST_FRAME, Range
from lab.foretelling import foretell
from lab.playing import play_and_judge
from lab.scenario import find
from lab.spec import Buffers, Limits, Load, Outcome, Pair, SocketOptions, Spec, Triple, Until
from lab.verdict import Account

AT_ONCE = 6
"""Pairs that play at the same time: most of a run is waiting."""

ENDS = 60
"""Settings whose very bounds are played."""

LIMITS = Limits(run_s=15.0)
FIXED, AUTOTUNED = "fixed", "autotuned"


@dataclass(frozen=True, slots=True)
class Measured:
    """One run beside its forecast."""

    spec: Spec
    outcome: Outcome
    account: Account
    client: Range
    server: Range
    completed: bool

    @property
    def kind(self) -> str:
        return AUTOTUNED if self.client.point is None else FIXED

    @property
    def violations(self) -> list[str]:
        """What was measured outside of its interval, in words."""
        seen = (("client_accepted", self.account.client_accepted, self.client),
                ("server_processed", self.account.server_processed, self.server))  # fmt: skip
        return [
            f"{name} {number} is not in {bounds.low} to {bounds.high}: {in_words(self.spec)}"
            for name, number, bounds in seen
            if number is None or bounds.low is None or bounds.high is None or not bounds.low <= number <= bounds.high
        ]


def drawn(chance: random.Random, send_sizes: Sequence[int] = (16, 128, 1024, 4096, 65536)) -> Spec:
    """A random setting of the grid of facts/prediction.md: fixed by socket options, fixed by sysctls, or autotuned."""
    scenario = find(chance.choice(("upper", "echo")))
    load = scenario.load
    load = Load(
        0, chance.choice(send_sizes), 65536, chance.choice((1024, 4096, 65536)), load.answer, 0.0, load.whole_messages
    )
    how = chance.choice(("options", "options", "sysctls", "autotuned"))
    nodelay, congestion = chance.random() < 0.25, chance.choice((None, "cubic", "reno"))
    sides = [_side(chance, how, nodelay, congestion)] * 2
    if chance.random() < 0.5:
        sides = [sides[0], _side(chance, how, nodelay, congestion)]
    return Spec(
        scenario=replace(scenario, load=load, buffers=Buffers()),
        testbed="netns",
        buffers=Pair(sides[0][0], sides[1][0]),
        options=Pair(sides[0][1], sides[1][1]),
        ip=chance.choice((4, 6)),
        mtu=chance.choice((None, 9000)),
        until=Until.PROOF,
        limits=LIMITS,
    )


def _side(chance: random.Random, how: str, nodelay: bool, congestion: str | None) -> tuple[Buffers, SocketOptions]:
    options = SocketOptions(nodelay=nodelay, congestion=congestion)
    if how == "options":
        return Buffers(), replace(options, so_rcvbuf=_size(chance, 1152, 20), so_sndbuf=_size(chance, 2304, 20))
    return Buffers(_triple(chance, 2304, how), _triple(chance, 4096, how)), options


def _size(chance: random.Random, least: int, most_bits: float) -> int:
    """From `least` to 2 to the power of `most_bits`: every order of magnitude is as likely as another."""
    return int(2 ** chance.uniform(math.log2(least), most_bits))


def _triple(chance: random.Random, least: int, how: str) -> Triple:
    most = _size(chance, least, 22)
    default = most if how == "sysctls" else _size(chance, least, math.log2(most))
    return Triple(min(4096, default), default, most)


def with_payload(spec: Spec, payload: int) -> Spec:
    return replace(spec, scenario=replace(spec.scenario, load=replace(spec.scenario.load, payload=payload)))


def measure(spec: Spec) -> Measured:
    """Play it and hold it against the forecast that its own settings give."""
    played = play_and_judge(spec)
    verdict, foretold = played.verdict, played.verdict.forecast
    went = all(end is not None and end.error is None for end in played.evidence.ended)
    return Measured(spec, verdict.outcome, verdict.account, foretold.client_accepted, foretold.server_processed, went)


def bounds(spec: Spec) -> tuple[int, int]:
    """Low and high, without a run: as `lab forecast` says them."""
    seen = foretell(spec).client_accepted
    assert seen.low is not None
    assert seen.high is not None
    return seen.low, seen.high


def beyond(spec: Spec) -> Spec:
    """With a payload that must freeze: one byte more than the high bound."""
    return with_payload(spec, bounds(spec)[1] + 1)


def all_of(function: Callable[[Spec], Measured], specs: Iterable[Spec], at_once: int = AT_ONCE) -> list[Measured]:
    """Each in a process of its own kind: a run may enter namespaces, and waits most of the time."""
    with ProcessPoolExecutor(at_once, mp_context=get_context("fork")) as pool:
        return list(pool.map(function, specs))


def paced() -> Spec:
    """The deterministic mode: nothing of it is left to timing (facts/prediction.md section 4)."""
    scenario = find("echo")
    load = replace(scenario.load, payload=4 << 20, send_size=4096, recv_size=4096, server_block=4096, paced_s=0.003)
    options = SocketOptions(so_rcvbuf=65536, so_sndbuf=65536)
    return Spec(
        scenario=replace(scenario, load=load, buffers=Buffers()),
        testbed="netns",
        options=Pair(options, options),
        until=Until.PROOF,
        limits=LIMITS,
    )


def in_words(spec: Spec) -> str:
    load = spec.scenario.load
    sides = [f"{role.tcp_rmem}/{role.tcp_wmem}" for role in spec.buffers]
    asked = [f"{options.so_rcvbuf}/{options.so_sndbuf}" for options in spec.options]
    return (
        f"{spec.scenario.name} send {load.send_size} block {load.server_block} ip {spec.ip} mtu {spec.mtu} "
        f"sysctls {sides} options {asked} {spec.options.client.congestion} nodelay {spec.options.client.nodelay}"
    )


def main(arguments: list[str]) -> int:
    number, seed = (int(each) for each in (arguments + ["1000", "6"][len(arguments) :])[:2])
    chance, began = random.Random(seed), time.monotonic()  # noqa: S311 - the same settings again for the same seed
    runs = all_of(measure, [beyond(drawn(chance)) for _ in range(number)])
    large = [run for run in runs if run.spec.scenario.load.send_size >= SMALLEST_FRAME]
    small = [run for run in runs if run not in large]
    print(f"{number} random settings, seed {seed}, {time.monotonic() - began:.0f} s")
    broken = _told("messages of 128 bytes and more", large)
    _told("messages of 16 bytes, judged on their own", small)
    _points([run for run in large if run.outcome is Outcome.DEADLOCK])
    broken += _ends(chance) + _paced()
    print(f"{broken} promises broken")
    return 1 if broken else 0


def _told(what: str, runs: list[Measured]) -> int:
    """How many intervals were violated, over all that froze."""
    frozen = [run for run in runs if run.outcome is Outcome.DEADLOCK]
    violations = [violation for run in frozen for violation in run.violations]
    through = [in_words(run.spec) for run in runs if run.completed]
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in Counter(run.outcome for run in runs).most_common())
    print(f"\n{what}: {outcomes}")
    print(
        f"  violations of the interval: {len(violations)} of {2 * len(frozen)}; completed beyond high: {len(through)}"
    )
    for each in (*violations, *through):
        print(f"  BROKEN {each}")
    for run in runs:
        if run.outcome not in (Outcome.DEADLOCK, Outcome.COMPLETED):
            print(f"  not a freeze: {run.outcome}, {run.account.client_accepted} accepted: {in_words(run.spec)}")
    return len(violations) + len(through)


def _points(runs: list[Measured]) -> None:
    for name in ("client_accepted", "server_processed"):
        side = "client" if name.startswith("client") else "server"
        pairs = [(getattr(run.account, name), getattr(run, side), run.kind) for run in runs]
        errors = sorted(abs(seen - at.point) / at.point for seen, at, _ in pairs if at.point)
        print(f"\n{name}")
        if len(errors) > 1:
            told = f"median {statistics.median(errors):.1%}, 95th percentile {errors[int(0.95 * len(errors))]:.1%}"
            print(f"  point error, fixed buffers: {told}, largest {errors[-1]:.1%} ({len(errors)} runs)")
        for kind in (FIXED, AUTOTUNED):
            widths = sorted(at.high / at.low for _, at, each in pairs if each == kind)
            if len(widths) > 1:
                told = f"median {statistics.median(widths):.2f}, 95th percentile {widths[int(0.95 * len(widths))]:.1f}"
                print(f"  high / low, {kind}: {told} ({len(widths)} runs)")


def _ends(chance: random.Random) -> int:
    """The bounds themselves: LOW must complete, HIGH + 1 must not."""
    specs = [drawn(chance, (128, 1024, 4096, 65536)) for _ in range(ENDS)]
    low = all_of(measure, [at_low(spec) for spec in specs])
    high = all_of(measure, [beyond(spec) for spec in specs])
    completed, stopped = sum(run.completed for run in low), sum(not run.completed for run in high)
    print(f"\na payload of LOW completes: {completed} of {ENDS}; of HIGH + 1 never: {stopped} of {ENDS}")
    for run in low:
        if not run.completed:
            print(f"  BROKEN at LOW: {run.outcome}: {in_words(run.spec)}")
    return 2 * ENDS - completed - stopped


def _paced() -> int:
    """Ten runs of the deterministic mode, one after the other: the server must stop at one number."""
    runs = all_of(measure, [paced()] * 10, 1)
    numbers = Counter(run.account.server_processed for run in runs)
    print(f"\npaced by 3 ms, messages and blocks of 4096, SO_* 64 KiB: server_processed {dict(numbers)}")
    return len(numbers) - 1


def at_low(spec: Spec) -> Spec:
    """With a payload of exactly the low bound, in whole messages where the scenario sends no others."""
    low, load = bounds(spec)[0], spec.scenario.load
    return with_payload(spec, low // load.send_size * load.send_size if load.whole_messages else low)
