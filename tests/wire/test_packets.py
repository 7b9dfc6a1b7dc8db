"""The witness of one connection in a capture keeps what the judgement needs, and nothing a segment."""

import sys

from lab.tcp.notation import parse
from lab.wire.packets import MAX_PROBES, PacketWitness
from lab.wire.witness import MAX_EVENTS

CLIENT, SERVER = "198.18.20.20:40000", "198.18.20.10:1060"
FROZEN = """
0.00 > P. 1:1001(1000) ack 1 win 250
0.01 < P. 1:1001(1000) ack 1001 win 0
0.02 > . 1001:1001(0) ack 1001 win 0
"""


def test_a_freeze_of_a_thousand_probes_is_kept_in_constant_memory() -> None:
    probes = "\n".join(
        f"{n} > . 1000:1000(0) ack 1001 win 0\n{n}.5 < . 1001:1001(0) ack 1001 win 0" for n in range(1, 1001)
    )
    witness = PacketWitness()
    for segment in parse(FROZEN + probes, CLIENT, SERVER):
        witness.feed(segment)
    stall = witness.facts().stall
    assert stall is not None
    assert len(stall.probes.client) == MAX_PROBES
    assert len(stall.wire.events) == MAX_EVENTS
    assert stall.wire.probes.client == 1000
    assert sys.getsizeof(stall.probes.client) < 400


def test_after_a_reset_only_bits_and_counts_are_noted() -> None:
    witness = PacketWitness()
    for segment in parse(
        FROZEN + "1 > R. 1001:1001(0) ack 1001 win 0\n2 < . 1001:1001(0) ack 1001 win 900", CLIENT, SERVER
    ):
        witness.feed(segment)
    facts = witness.facts()
    assert facts.frames == 5
    assert facts.stall is not None
    assert facts.stall.wire.closed.server is True
    assert facts.stall.wire.reopened.server == 0


def test_another_syn_is_another_connection() -> None:
    first, again, other = parse("0 > S 5:5(0) win 9\n1 > S 5:5(0) win 9\n2 > S 77:77(0) win 9", CLIENT, SERVER)
    witness = PacketWitness()
    assert not witness.restarts(first)
    witness.feed(first)
    assert not witness.restarts(again)
    assert witness.restarts(other)
