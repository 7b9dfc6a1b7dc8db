"""Flows of one connection as text (`lab.tcp.notation`), and what the witness and the judgement make of them."""

from lab.tcp.notation import parse
from lab.tcp.segment import Segment
from lab.wire.judge import PacketJudgement, judge_packets
from lab.wire.packets import ConnectionFacts, PacketWitness, StallFacts

CLIENT, SERVER = "198.18.20.20:40000", "198.18.20.10:1060"

HANDSHAKE = """
0.000 > S 0:0(0) win 1000 wscale 2
0.001 < S. 0:0(0) ack 1 win 1000 wscale 0
0.002 > . 1:1(0) ack 1 win 250
"""
FROZEN = f"""{HANDSHAKE}
0.010 > P. 1:1001(1000) ack 1 win 250
0.011 < P. 1:1001(1000) ack 1001 win 0
0.012 > . 1001:1001(0) ack 1001 win 0
"""
PROBE, ANSWER = "> . 1000:1000(0) ack 1001 win 0", "< . 1001:1001(0) ack 1001 win 0"
ITS_PROBE, ITS_ANSWER = "< . 1000:1000(0) ack 1001 win 0", "> . 1001:1001(0) ack 1001 win 0"


def flow(text: str, isn: int = 4_294_966_900) -> list[Segment]:
    """`isn` is the client's initial sequence number, the server's is 77 more: by default both numbers wrap."""
    return list(parse(text, CLIENT, SERVER, (isn, isn + 77)))


def exchange(*times: float, ours: bool = True, theirs: bool = True) -> str:
    """At each time a probe of the client, and 10 ms later one of the server, both answered."""
    lines = []
    for at in times:
        if ours:
            lines += [f"{at:.3f} {PROBE}", f"{at + 0.001:.3f} {ANSWER}"]
        if theirs:
            lines += [f"{at + 0.010:.3f} {ITS_PROBE}", f"{at + 0.011:.3f} {ITS_ANSWER}"]
    return "\n".join(lines)


def facts(text: str) -> ConnectionFacts:
    witness = PacketWitness()
    for segment in flow(text):
        witness.feed(segment)
    return witness.facts()


def stall(text: str) -> StallFacts:
    found = facts(text).stall
    assert found is not None, "a window closed"
    return found


def judged(text: str, until: float = 0) -> PacketJudgement:
    """In a capture that ends at `until`, in seconds, or with the last segment."""
    found = facts(text)
    return judge_packets(found, max(found.last_ns, round(until * 1e9)))
