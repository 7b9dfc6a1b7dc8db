"""How one wait is put together: time limits of sockets, members of epoll sets, and what may change while it lasts."""

import time

import pytest

from lab.evidence import Item, Resource, Wants
from lab.kernel.processes.deadlines import Deadlines
from lab.kernel.processes.wait_builder import MAX_NESTING, WaitBuilder
from tests.kernel.sleepers import POLLED, Sleeper, sleeper


def test_a_send_with_a_time_limit_is_timed_and_not_dated() -> None:
    limit = "c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('qq', 60, 0))"
    with sleeper(f"c, s = connection(); {limit}; say(inode(c)); c.sendall(bytes(1 << 28))") as program:
        wait = program.wait("sendto")
    assert wait.timed
    assert wait.deadline_ns is None


def test_a_receive_does_not_end_by_the_limit_for_sends() -> None:
    limit = "c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('qq', 60, 0))"
    with sleeper(f"c, s = connection(); {limit}; say(inode(c)); c.recv(1)") as program:
        assert not program.wait("recvfrom").timed


def test_a_unix_socket_and_its_acceptor_are_told_apart() -> None:
    with sleeper("a, b = socket.socketpair(); say(inode(a), inode(b)); a.recv(1)") as program:
        assert program.resources("recvfrom") == [(f"unix:{program.words[0]}", "read", False)]
        entry = program.index.unix(int(program.words[0]))
        assert entry is not None
        assert entry.peer == int(program.words[1])
    with sleeper("l = socket.socket(socket.AF_UNIX); l.bind(''); l.listen(); say(inode(l)); l.accept()") as program:
        assert program.resources("accept4") == [(f"unix:{program.words[0]}", "accept", False)]


def test_room_for_a_datagram_may_come_from_whoever_was_sent_one_before() -> None:
    code = """
a = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); b, c = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
b.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192); say(inode(b))
while True: b.send(bytes(4096))
"""
    with sleeper(code) as program:
        resource = f"other:unix:{program.words[0]}, which sends datagrams"
        assert program.resources("sendto") == [(resource, "write", False)]


def test_epoll_without_limit_waits_for_its_members_only() -> None:
    with sleeper(POLLED + "p = select.epoll(); p.register(c, select.EPOLLOUT); p.register(s, 0); p.poll()") as program:
        client, server = (f"socket:{inode}" for inode in program.words)
        assert set(program.resources("epoll_wait")) == {(client, "write", False), (server, "read", True)}
        assert not program.wait("epoll_wait").timed


def test_an_edge_triggered_member_is_told_as_such() -> None:
    both = "select.EPOLLOUT | select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET"
    with sleeper(POLLED + f"p = select.epoll(); p.register(c, {both}); p.poll()") as program:
        socket_ = f"socket:{program.words[0]}"
        assert program.resources("epoll_wait") == [(socket_, "write", True), (socket_, "read", True)]


def test_a_one_shot_counts_while_armed_and_no_more_once_fired() -> None:
    once = "p = select.epoll(); p.register(c, select.EPOLLOUT | select.EPOLLONESHOT);"
    with sleeper(POLLED + once + "p.poll()") as program:
        assert program.resources("epoll_wait") == [(f"socket:{program.words[0]}", "write", False)]
    fired = "p = select.epoll(); p.register(s, select.EPOLLIN | select.EPOLLONESHOT); p.poll(); p.poll()"
    with sleeper(POLLED + fired) as program:
        assert program.resources("epoll_wait") == []


def test_a_nested_epoll_is_expanded() -> None:
    nested = """
inner = select.epoll(); inner.register(c, select.EPOLLOUT)
p = select.epoll(); p.register(inner, select.EPOLLIN); p.poll()
"""
    with sleeper(POLLED + nested) as program:
        assert program.resources("epoll_wait") == [(f"socket:{program.words[0]}", "write", False)]


TIMERFD = """
t = libc.timerfd_create(1, 0); libc.timerfd_settime(t, 0, struct.pack("qqqq", 0, 0, 60, 0), None)
"""


def test_a_timerfd_in_an_epoll_set_is_its_deadline() -> None:
    code = "p = select.epoll(); p.register(t, select.EPOLLIN); p.poll()"
    with sleeper(POLLED + TIMERFD + code) as program:
        wait = program.wait("epoll_wait")
        assert wait.timed
        assert wait.deadline_ns is not None
        assert 50e9 < wait.deadline_ns - time.time_ns() <= 60e9


def built(program: Sleeper) -> WaitBuilder:
    return WaitBuilder(program.asleep("clock_nanosleep"), program.descriptors, Deadlines(), lambda _: [])


@pytest.mark.parametrize(
    ("ends", "deadline", "timed"),
    [((), None, False), ((7, 5), 5, True), ((7, None), None, True), ((None,), None, True)],
)
def test_a_wait_ends_with_the_first_of_its_limits_if_all_are_known(
    ends: tuple[int | None, ...], deadline: int | None, timed: bool
) -> None:
    with sleeper("say('x'); time.sleep(60)") as program:
        builder = built(program)
        for end in ends:
            builder.ends_at(end)
        wait = builder.finish()
    assert (wait.deadline_ns, wait.timed) == (deadline, timed)


def test_what_failed_first_is_told_and_what_is_awaited_twice_is_there_once() -> None:
    with sleeper("say('x'); time.sleep(60)") as program:
        builder = built(program)
        builder.fail("one")
        builder.fail("other")
        for wants in (Wants.READ, Wants.WRITE, Wants.READ):
            builder.wait_for(Resource.socket(1), wants)
        wait = builder.finish()
    assert wait.unknown == "one"
    assert wait.items == (Item(Resource.socket(1), Wants.READ), Item(Resource.socket(1), Wants.WRITE))


def test_epoll_sets_and_timerfds_are_what_others_may_change_and_a_socket_is_not() -> None:
    code = "p = select.epoll(); p.register(t, select.EPOLLIN); p.register(c, select.EPOLLOUT)"
    with sleeper(f"{POLLED}{TIMERFD}{code}; say(p.fileno(), t, c.fileno()); time.sleep(60)") as program:
        epoll, timer, socket_ = map(int, program.says().split())
        builder = built(program)
        builder.ready(socket_, 1)
        assert (builder.dynamic, list(builder.rests_on)) == (False, [])
        builder.expand(epoll)
        rests_on = [(str(kind), fd) for kind, fd in builder.rests_on]
        assert (builder.dynamic, rests_on) == (True, [("epoll", epoll), ("timerfd", timer)])


def test_a_set_that_is_nested_too_deep_is_not_understood() -> None:
    with sleeper("p = select.epoll(); p.register(0, 1); say(p.fileno()); time.sleep(60)") as program:
        builder = built(program)
        builder.expand(int(program.words[0]), MAX_NESTING + 1)
        assert "deep" in str(builder.finish().unknown)
