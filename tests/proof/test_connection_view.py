"""What the rules of the verdict ask about one connection: when it came to rest, who was blocked, who only spins."""

from dataclasses import replace
from typing import Any

import pytest

from lab.evidence import CaptureCount, Evidence, Progress, Snapshot, SocketSample, WireFacts
from lab.proof.connection_view import FUTILE_RUNS, STILL_S, ConnectionView
from lab.reason import Why
from lab.spec import Grade, Pair, Role, SocketOptions
from lab.syscalls import RECEIVES, SENDS
from tests.played import spec_of
from tests.proof.frozen_pair import (
    EMPTY,
    MS,
    NOW,
    SECOND,
    client,
    evidence,
    process,
    sends,
    server,
    settings,
    snapshot,
    thread,
)

CLIENT = thread(1, sends(11), role=Role.CLIENT, socket_inode=11)
SERVER = thread(2, sends(22), role=Role.SERVER, socket_inode=22)


def at(ago_ms: int, here: SocketSample | None = None, there: SocketSample | None = None, **facts: Any) -> Snapshot:  # noqa: ANN401
    """The pair as it was so long before NOW."""
    timed: list[SocketSample | None] = [
        replace(each, time_ns=NOW - ago_ms * MS) for each in (here or client(), there or server())
    ]
    return snapshot([CLIENT, SERVER], sockets=Pair(*timed), **facts)


def view(*snapshots: Snapshot, **facts: Any) -> ConnectionView:  # noqa: ANN401
    return ConnectionView(evidence(snapshots=snapshots, **facts))


def test_before_there_is_a_snapshot_nothing_is_known() -> None:
    empty = view()
    assert (empty.seal_ns, empty.still, empty.analysis, empty.knot) == (None, False, None, None)
    assert (empty.socket(Role.CLIENT), empty.threads(Role.CLIENT), empty.one_end) == (None, (), None)


def test_the_last_byte_is_the_later_of_what_the_programs_stamped_and_what_the_sockets_show() -> None:
    before = at(900, client(wqueue=7000))
    assert view(before, at(800), at(0)).seal_ns == NOW - 800 * MS
    stamps = [Progress(NOW, role, 0, 0, NOW - ago_ms * MS) for role, ago_ms in zip(Role, (700, 850), strict=True)]
    assert view(before, at(800), at(0, progress=Pair(*stamps))).seal_ns == NOW - 700 * MS


def test_it_is_still_once_no_byte_has_moved_for_as_long_as_the_spec_asks() -> None:
    limit_ms = int(spec_of(evidence()).limits.still_s * 1000)
    assert view(at(limit_ms), at(0)).still
    assert not view(at(limit_ms - 1), at(0)).still
    acknowledged = at(limit_ms, client(bytes_acked=8000, wqueue=8361))
    assert not view(acknowledged, at(10), at(0)).still, "TCP alone has moved: it was acknowledged since"
    unplanned = int(STILL_S * 1000)
    assert [view(at(ms), at(0), spec=None).still for ms in (unplanned, unplanned - 1)] == [True, False]


def test_a_proof_is_as_old_as_the_first_of_the_latest_snapshots_that_all_show_it() -> None:
    assert view(at(300), at(200, server(rcv_wnd=9)), at(100), at(0)).proved_ns() == NOW - 100 * MS
    assert view(at(100), at(0, server(rcv_wnd=9))).proved_ns() is None


def test_a_thread_that_ran_meanwhile_tells_nothing_of_the_instant() -> None:
    ran = replace(at(0), threads_after=(replace(CLIENT, switches=8), SERVER))
    assert view(ran).threads(Role.CLIENT) == ()
    assert view(ran).threads(Role.SERVER) == (SERVER,)


def test_a_program_is_blocked_on_this_connection_if_its_call_and_its_socket_are_known() -> None:
    assert view(at(0)).blocked_in(Role.CLIENT, SENDS) is True
    assert view(at(0)).blocked_in(Role.CLIENT, RECEIVES) is False
    elsewhere = replace(CLIENT, socket_inode=99)
    assert view(at(0, threads_before=(elsewhere,), threads_after=(elsewhere,))).blocked_in(Role.CLIENT, SENDS) is False
    unread = replace(CLIENT, syscall=None)
    assert view(at(0, threads_before=(unread,), threads_after=(unread,))).blocked_in(Role.CLIENT, SENDS) is None
    assert view(replace(at(0), sockets=Pair(None, server()))).blocked_in(Role.CLIENT, SENDS) is None


def scheduled(ago_ms: int, count: int, state: str = "S") -> Snapshot:
    """The server's thread has been scheduled so often by then."""
    both = (CLIENT, replace(SERVER, switches=count, state=state))
    return at(ago_ms, threads_before=both, threads_after=both)


def test_a_thread_spins_if_it_was_scheduled_often_in_the_later_half_of_the_stillness() -> None:
    assert view(scheduled(1000, 0), scheduled(400, 5), scheduled(0, 5 + FUTILE_RUNS)).is_spinning()
    assert not view(scheduled(1000, 0), scheduled(400, 5), scheduled(0, 4 + FUTILE_RUNS)).is_spinning()
    on_its_way = view(scheduled(1000, 0), scheduled(600, 50), scheduled(400, 50), scheduled(0, 50))
    assert not on_its_way.is_spinning(), "before the later half a thread still went to sleep"


def test_a_thread_of_another_connection_in_the_snapshot_spins_for_itself() -> None:
    busy = replace(SERVER, pid=9, tid=9, state="R")
    shots = [
        at(ago_ms, threads_before=(CLIENT, SERVER, busy), threads_after=(CLIENT, SERVER, busy)) for ago_ms in (400, 0)
    ]
    assert not view(*shots).is_spinning()
    assert view(*(replace(each, processes=None) for each in shots)).is_spinning(), "nobody knows what it holds"


def test_a_thread_spins_if_it_was_runnable_in_every_sample() -> None:
    assert view(scheduled(400, 0, "R"), scheduled(0, 0, "R")).is_spinning()
    assert not view(scheduled(400, 0, "R"), scheduled(0, 0)).is_spinning()


def test_a_window_that_opened_again_is_counted_in_the_samples_where_nothing_was_captured() -> None:
    """What the client may send is the window of the server."""
    shots = [at(nth, client(snd_wnd=size)) for nth, size in ((5, 0), (4, 99), (3, 0), (2, 50), (1, 60))]
    assert view(*shots).reopenings() == (0, 2)
    wire = replace(WireFacts(), reopened=Pair(7, 8))
    captured = view(*shots, wire=wire, capture=CaptureCount("eth0", 1, 0))
    assert captured.reopenings() == (7, 8)
    lossy = view(*shots, wire=wire, capture=CaptureCount("eth0", 1, 1))
    assert lossy.reopenings() == (0, 2), "packets were lost"


def test_a_socket_that_its_program_does_not_hold_is_not_its_own() -> None:
    held_by_another = at(0, processes=(process(1, "socket:11"), process(2, "socket:99")))
    assert [each.why for each in view(held_by_another).not_its_own()] == [Why.NOT_ITS_SOCKET]
    assert view(at(0)).not_its_own() == ()
    assert view(held_by_another, spec=None).not_its_own() == (), "other programs name no socket"
    unread = at(0, processes=(process(1, "socket:11"), process(2, resources=None)))
    assert view(unread).not_its_own() == ()


def test_one_end_alone_is_told() -> None:
    assert view(at(0)).one_end is None
    alone = replace(at(0), sockets=Pair(None, server()))
    found = view(alone).one_end
    assert found is not None
    assert found.role is Role.SERVER


def test_a_zero_window_keeps_back_only_what_is_queued() -> None:
    assert view(at(0)).blocked_by_zero_window(Role.CLIENT) is True
    assert view(at(0, client(wqueue=0))).blocked_by_zero_window(Role.CLIENT) is False
    assert view(at(0, client(snd_wnd=1))).blocked_by_zero_window(Role.CLIENT) is False
    assert view(at(0, client(snd_wnd=None))).blocked_by_zero_window(Role.CLIENT) is None


def test_nothing_is_analysed_where_no_thread_was_looked_at_and_an_end_has_nothing_to_send() -> None:
    unseen: dict[str, Any] = {"threads_before": (), "threads_after": ()}
    assert view(at(0, client(**EMPTY), **unseen)).analysis is None
    assert view(at(0, **unseen)).analysis is not None, "the missing readings are to be named"


def grade(seen: Evidence) -> Grade | None:
    knot = ConnectionView(seen).knot
    return knot.grade if knot else None


@pytest.mark.parametrize(
    ("facts", "proven"),
    [
        ({}, Grade.PROVEN),
        ({"settings": Pair(None, None)}, Grade.QUALIFIED),
        ({"settings": settings(tcp_retries2="2")}, Grade.PROVEN),
        ({"settings": settings(tcp_retries2="1")}, Grade.QUALIFIED),
        ({"settings": Pair(settings().client, settings(tcp_retries2="1").server)}, Grade.QUALIFIED),
    ],
)
def test_that_tcp_may_give_up_is_known_by_the_settings_of_both_ends(facts: dict[str, Any], proven: Grade) -> None:
    assert grade(evidence(**facts)) is proven


def test_that_tcp_may_give_up_is_asked_of_every_namespace_that_was_looked_into() -> None:
    """The knot may lead through a connection of a third one, whose end gives up."""
    own, hasty = settings().client, settings(tcp_retries2="1").client
    further = {33: own, 44: own}
    assert grade(evidence(settings_of=further)) is Grade.PROVEN
    assert grade(evidence(settings_of=further | {44: hasty})) is Grade.QUALIFIED
    assert grade(evidence(settings_of=further | {44: None})) is Grade.QUALIFIED, "nobody knows where it is"


def test_the_largest_send_buffer_is_that_of_the_socket_s_own_namespace() -> None:
    grown = {"sndbuf": 46_080, "wmem_queued": 46_080, "snd_cwnd": 30, "sndbuf_locked": False}
    pair = snapshot(sockets=Pair(client(**grown), server()))
    small, large = (settings(tcp_wmem=f"4096 16384 {size}").client for size in (46_080, 4_194_304))
    assert grade(evidence(pair, settings=Pair(small, large))) is Grade.PROVEN
    assert grade(evidence(pair, settings=Pair(large, small))) is None
    assert grade(evidence(pair, settings=Pair(None, small))) is None, "one of the two is not known"
    each = {11: small, 22: large}
    assert grade(evidence(pair, settings=Pair(small, large), settings_of=each)) is Grade.PROVEN
    assert grade(evidence(pair, settings=Pair(None, None), settings_of=each)) is Grade.QUALIFIED


def test_a_program_of_the_lab_has_set_its_send_buffer_as_its_spec_says() -> None:
    unknown = snapshot(sockets=Pair(client(sndbuf_locked=None), server()))
    large = settings(tcp_wmem="4096 16384 4194304")
    assert grade(evidence(unknown, settings=large)) is Grade.QUALIFIED
    seen = evidence(unknown, settings=large)
    set_by_it = replace(seen, spec=replace(spec_of(seen), options=Pair(SocketOptions(so_sndbuf=8192), SocketOptions())))
    assert grade(set_by_it) is Grade.PROVEN
    assert grade(replace(set_by_it, spec=None)) is Grade.QUALIFIED, "another program has no spec"


def test_a_program_of_the_lab_does_not_lower_its_receive_buffer_once_it_is_connected() -> None:
    """Below Linux 5.15 the kernel does not tell whether SO_RCVBUF was set, and below 6.2 not the window."""
    hidden = {"rcv_wnd": None, "rcvbuf_locked": None, "window_clamp": 5000}
    seen = evidence(snapshot(sockets=Pair(client(**hidden), server(**hidden))), adv_win_scale_counts=True)
    assert seen.spec
    assert grade(seen) is Grade.PROVEN
    assert grade(replace(seen, spec=None)) is Grade.QUALIFIED, "any other program may"


def test_an_age_is_counted_in_the_clock_of_the_sockets() -> None:
    assert view(at(2000), at(0)).still_since_ns == NOW - 2 * SECOND
