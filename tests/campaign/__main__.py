"""The campaign: `scripts/dev/campaign [--short] [--runs N] [--faults A,B] [--testbeds A,B] [--seed S] [--shared]`.

    scripts/dev/campaign flat N     N runs in a row: does anything grow?

Exit: 0 everything as before, 1 a difference, 2 usage, 4 no root.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TypeVar

from tests.campaign import flat, ground, table
from tests.campaign.faults import Fault, catalogue
from tests.campaign.flat import at_least_one
from tests.campaign.ground import Ground
from tests.campaign.mark import mark
from tests.campaign.trial import Trial, tried
from tests.commanded import ROOT

Named = TypeVar("Named")

RUNS, SHORT = 200, 12
NET = "198.18.120"


def main(argv: Sequence[str]) -> int:
    if argv[:1] == ["flat"]:
        return flat.main(argv[1:])
    options = _parser().parse_args(argv)
    if os.geteuid() != 0:
        print("campaign: needs root: it mounts, enters namespaces and kills", file=sys.stderr)
        return 4
    mark()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # A background job of a shell ignores the one and nohup(1) the other, and so would our labs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)  # we still ignore it, but what we start does not
    trials = []
    with ExitStack() as stack:
        if "compose" in options.testbeds:
            subprocess.run([ROOT / "scripts/images"], check=True)
        grounds = [
            paced(stack.enter_context(ground.ground(name)), options.net, alone=not options.shared)
            for name in options.testbeds
        ]
        with suppress(KeyboardInterrupt):  # what there is by then is reported
            alone = not options.shared
            for trial in campaign(options.runs, options.faults, grounds, options.seed, options.net, alone=alone):
                trials.append(trial)
                _tell(f"{len(trials)}/{options.runs}", trial)
    if options.format == "json":
        print(json.dumps(table.document(trials), indent=1))
    else:
        print("\n".join(table.lines(trials)))
    return 1 if any(trial.differences for trial in trials) else 0


def _tell(which: str, trial: Trial) -> None:
    told = f"{which} {trial.fault} on {trial.ground}: exit {trial.code}, {trial.judged} ({trial.took_s} s)"
    print(told, *trial.differences, sep="\n  DIFFERENCE ", file=sys.stderr, flush=True)


def paced(place: Ground, net: str, *, alone: bool) -> Ground:
    """The same ground, with the time that a run takes now on this machine: faults must come at any instant of it."""
    calm = tried(0, catalogue()["none"], place, net, alone=alone)
    return replace(place, run_s=calm.run_s)


def campaign(
    runs: int, faults: Sequence[Fault], grounds: Sequence[Ground], seed: int, net: str, *, alone: bool
) -> Iterator[Trial]:
    """This many faults, each on every testbed about equally often, in an order and at instants that `seed` draws.

    A fault that came too late is tried again. So there are more runs than faults, but at most twice as many.
    """
    pairs = [(fault, place) for place in grounds for fault in faults if place.name in fault.grounds]
    dice = random.Random(seed)
    drawn: list[tuple[Fault, Ground]] = []
    while len(drawn) < runs:
        drawn += dice.sample(pairs, len(pairs))
    waiting = deque(drawn[:runs])
    for number in range(2 * runs):
        if not waiting:
            return
        fault, place = waiting.popleft()
        trial = tried(seed * 100_000 + number, fault, place, net, alone=alone)
        yield trial
        if not trial.injected:
            waiting.append((fault, place))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/dev/campaign", description="Faults in real runs.")
    known = catalogue()
    parser.add_argument("--runs", type=at_least_one, default=RUNS, metavar="N", help="default %(default)s")
    parser.add_argument("--short", action="store_const", dest="runs", const=SHORT, help=f"{SHORT} runs")
    parser.add_argument(
        "--faults", type=_names(known), default=list(known.values()), metavar="A,B", help=", ".join(known)
    )
    parser.add_argument(
        "--testbeds", type=_names(dict(zip(ground.NAMES, ground.NAMES, strict=True))), default=list(ground.NAMES),
        metavar="A,B", help=", ".join(ground.NAMES),
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="what draws faults and instants")
    parser.add_argument("--net", default=NET, metavar="A.B.C", help="LAB_NET of its labs (default %(default)s)")
    parser.add_argument("--shared", action="store_true", help="others play labs here: only what is ours counts")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    return parser


def _names(known: Mapping[str, Named]) -> Callable[[str], list[Named]]:
    def parse(text: str) -> list[Named]:
        for name in text.split(","):
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no {name!r}: {', '.join(known)}")
        return [known[name] for name in text.split(",")]

    return parse


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
