"""The path breaks under live traffic: queues fill and nothing moves, because nothing arrives."""

import subprocess

from lab.proof.stack import is_silent
from tests.corpus.case import ADDRESSES, Case, Truth, accepting, connecting
from tests.corpus.programs import converse, echo, write_only
from tests.corpus.stage import Stage

LIMIT_S = 20


def _in_server(stage: Stage, *argv: str) -> None:
    folder = stage.folders()[1]
    subprocess.run(["nsenter", f"--net={folder}", *argv], check=True, timeout=LIMIT_S, capture_output=True)


def drop(stage: Stage) -> None:
    _in_server(stage, "iptables", "-w", "-A", "INPUT", "-p", "tcp", "-j", "DROP")


def link_down(stage: Stage) -> None:
    _in_server(stage, "ip", "link", "set", "eth0", "down")


def blackhole(stage: Stage) -> None:
    _in_server(stage, "ip", "route", "add", "blackhole", f"{ADDRESSES['client'][0]}/32")


def link_down_for_long(stage: Stage) -> None:
    """Until two probes of each side, or a retransmission, are without an answer."""
    (connection,) = stage.connections()
    link_down(stage)

    def silent() -> bool:
        ends = [each for each in stage.sample(connection) if each]
        return all(map(is_silent, ends))

    stage.until(silent, "somebody still answers")


OUTCOMES = frozenset({"blackhole", "inconclusive", "read-read", "idle"})


def _case(name: str, summary: str, act: object) -> Case:
    return Case(
        name,
        summary,
        Truth.STANDS,
        accepting(echo),
        connecting(converse),
        act=act,  # type: ignore[arg-type]
        in_motion=True,
        watch_s=4,
        outcomes=OUTCOMES,
    )


CASES = (
    _case("packets-dropped", "A firewall drops all that comes to the server.", drop),
    _case("link-down", "The cable is pulled.", link_down),
    _case("route-blackhole", "The server has no way back.", blackhole),
    Case(
        "link-down-when-frozen",
        "The cable of a frozen pair is pulled: TCP itself will give it up.",
        Truth.STANDS,
        accepting(echo),
        connecting(write_only),
        act=link_down_for_long,
        watch_s=4,
        grades=frozenset({"qualified"}),
        outcomes=frozenset({"deadlock"}),
    ),
)
