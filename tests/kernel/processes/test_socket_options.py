"""The options that another process has set on its socket are read, and nothing of it changes."""

import os
from pathlib import Path

import pytest

from lab.kernel.processes.socket_options import ProgramOptions, options_of
from tests.kernel.nobody import as_nobody
from tests.kernel.sleepers import sleeper


def test_time_limits_of_a_socket_are_read_and_nothing_is_changed() -> None:
    code = """
c, s = connection(); c.setsockopt(6, 18, 7000); c.setblocking(True)
c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('qq', 3, 500000))
c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
c.setsockopt(6, 10, 5000)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
say(c.fileno(), s.fileno(), c.getsockopt(6, 10), s.getsockopt(6, 10)); time.sleep(60)
"""
    with sleeper(code) as program:
        one, other, clamp, usual = map(int, program.words)
        flags = Path(f"/proc/{program.pid}/fdinfo/{one}").read_text()
        descriptors = len(os.listdir("/proc/self/fd"))
        assert options_of(program.pid, one) == ProgramOptions(3_500_000_000, 0, 7000, True, False, clamp, 0, "", "")
        assert options_of(program.pid, other) == ProgramOptions(0, 0, 0, False, True, usual, 0, "", "")
        assert isinstance(options_of(program.pid, 99), str)
        assert Path(f"/proc/{program.pid}/fdinfo/{one}").read_text() == flags
        assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("socket.SOL_SOCKET, 37, 1 << 7", "SO_TIMESTAMPING"),
        ("socket.SOL_SOCKET, 60, 1", "SO_ZEROCOPY"),
        ("socket.IPPROTO_IP, 11, 1", "IP_RECVERR"),
    ],
)
def test_what_may_come_to_the_error_queue_is_named(option: str, name: str) -> None:
    with sleeper(f"c, s = connection(); c.setsockopt({option}); say(c.fileno()); time.sleep(60)") as program:
        options = options_of(program.pid, int(program.words[0]))
    assert isinstance(options, ProgramOptions)
    assert options.error_queue == name


def test_a_unix_socket_has_time_limits_and_no_options_of_tcp() -> None:
    limit = "a.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('qq', 2, 0))"
    with sleeper(f"a, b = socket.socketpair(); {limit}; say(a.fileno()); time.sleep(60)") as program:
        options = options_of(program.pid, int(program.words[0]))
    assert isinstance(options, ProgramOptions)
    assert (options.send_timeout_ns, options.receive_timeout_ns) == (0, 2_000_000_000)
    assert (options.user_timeout_ms, options.window_clamp, options.ulp, options.error_queue) == (0, 0, "", "")


def test_a_thread_with_a_table_of_its_own_is_asked_for_its_own_descriptor() -> None:
    code = """
c, s = connection(); s.setsockopt(6, 18, 7000)
def apart():
    libc.unshare(0x400); os.dup2(s.fileno(), c.fileno()); say(threading.get_native_id(), c.fileno()); time.sleep(60)
threading.Thread(target=apart).start(); time.sleep(60)
"""
    with sleeper(code) as program:
        task, fd = map(int, program.words)
        own, first = options_of(task, fd), options_of(program.pid, fd)
    assert isinstance(first, ProgramOptions)
    assert first.user_timeout_ms == 0
    assert "its descriptors" in own if isinstance(own, str) else own.user_timeout_ms == 7000


def test_without_privilege_it_says_what_is_missing() -> None:
    with sleeper("c, s = connection(); say(c.fileno()); time.sleep(60)") as program:
        fd = int(program.words[0])
        assert "CAP_SYS_PTRACE" in str(as_nobody(lambda: options_of(program.pid, fd)))
