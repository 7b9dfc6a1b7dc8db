"""What a standstill that is no deadlock comes from, by both sockets and the threads of the snapshot."""

from typing import Any

from lab.evidence import Snapshot, Wait
from lab.proof.connection_view import ConnectionView
from lab.proof.diagnosis import diagnosis
from lab.report.reasons import all_words, words
from lab.spec import Outcome, Pair
from tests.proof.frozen_pair import EMPTY, client, evidence, process, sends, server, snapshot, thread

QUIET = {"wqueue": 0, "notsent_bytes": 0, "wmem_queued": 0, "timer": "none"}


def told(outcome: Outcome, shot: Snapshot) -> tuple[str, tuple[str, ...], tuple[str, ...]] | None:
    """The summary, the waits and what to do next."""
    found = diagnosis(ConnectionView(evidence(shot)), outcome)
    return (words(found.summary), all_words(found.waits), all_words(found.next)) if found else None


def stalled(**reader: Any) -> Snapshot:  # noqa: ANN401
    """The server does not read, and sleeps."""
    held = [process(1, "socket:11"), process(2, "socket:22")]
    threads = [thread(1, sends(11)), thread(2, Wait("clock_nanosleep", ()))]
    return snapshot(threads, held, sockets=Pair(client(), server(**QUIET, **reader)))


def test_of_a_one_sided_stall_the_reader_and_its_waits_are_named() -> None:
    found = told(Outcome.ONE_SIDED_STALL, stalled())
    assert found is not None
    summary, waits, _ = found
    assert summary == "198.18.20.10:1060 (socket:22) does not read: 3,000 bytes are unread, and its window is closed"
    assert waits == ("2/2 program waits for clock_nanosleep: nothing that is known",)


def test_what_nobody_has_accepted_is_said_and_where_to_look() -> None:
    for outcome, shot in (
        (Outcome.ONE_SIDED_STALL, stalled(inode=0)),
        (Outcome.IDLE, snapshot(sockets=Pair(client(**EMPTY), server(**EMPTY | {"inode": 0, "rqueue": 79})))),
    ):
        found = told(outcome, shot)
        assert found is not None
        assert found[0].startswith("no program has accepted the connection at 198.18.20.10:1060; ")
        assert found[2] == ("see its accept queue, and who would accept: ss -tlnp 'sport = :1060'",)


def test_an_idle_pair_has_nothing_to_say() -> None:
    assert told(Outcome.IDLE, snapshot(sockets=Pair(client(**EMPTY), server(**EMPTY)))) is None
    closing = server(**EMPTY | {"inode": 0, "state": "FIN-WAIT-2"})
    assert told(Outcome.IDLE, snapshot(sockets=Pair(client(**EMPTY), closing))) is None, "its program has closed it"
    assert told(Outcome.MOVING, snapshot()) is None


def test_a_black_hole_that_no_full_segment_passed_may_be_an_mtu() -> None:
    lost = client(timer="on", backoff=4, last_ack_recv_ms=4300, bytes_acked=80, wqueue=79_640)
    found = told(Outcome.BLACKHOLE, snapshot(sockets=Pair(lost, server(**EMPTY))))
    assert found is not None
    assert found[0] == (
        "nothing comes back from 198.18.20.10:1060: 79,640 bytes wait, sent again 4 times; last heard 4.3 s ago; "
        "no full segment (1448 bytes) was ever acknowledged: an MTU on the path?"
    )
    assert found[2] == ("ping -M do -s 1472 198.18.20.10",)


def test_where_a_full_segment_passed_or_none_was_sent_it_is_no_mtu() -> None:
    for facts in ({"bytes_acked": 1448}, {"bytes_acked": 80, "wqueue": 1447}):
        lost = client(**{"timer": "on", "backoff": 4, "last_ack_recv_ms": 4300} | facts)
        found = told(Outcome.BLACKHOLE, snapshot(sockets=Pair(lost, server(**EMPTY))))
        assert found is not None
        assert "MTU" not in found[0]
        assert found[2] == ()
