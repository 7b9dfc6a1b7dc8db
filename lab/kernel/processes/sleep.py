"""Tells whether a thread sleeps in the wait of the very call that it shows, by the kernel function in which it sleeps.

A thread may show a call and be elsewhere: frozen by a cgroup, before a page fault that FUSE or userfaultfd serves, held
by a seccomp supervisor or a debugger. Then the call may return short, or fail, when it goes on. So a wait counts only
if the function is known to be one of that call's own. Functions: measured on Linux 5.10, 6.1, 6.12, 6.18 and 7.2.
"""

from lab.kernel.processes.threads import TrackedThread
from lab.kernel.procfs import tracer_of
from lab.syscalls import Form, Syscall

_STREAM = frozenset({"wait_woken", "sk_stream_wait_memory", "sk_wait_data"})
_PIPE = frozenset({
    "pipe_read", "pipe_write", "anon_pipe_read", "anon_pipe_write", "pipe_wait_readable", "pipe_wait_writable",
})  # fmt: skip
_MESSAGES = frozenset({
    "unix_stream_read_generic", "unix_stream_data_wait", "unix_wait_for_peer", "sock_alloc_send_pskb",
    "sock_wait_for_wmem", "__skb_wait_for_more_packets",
})  # fmt: skip
_EVENTS = frozenset({
    "eventfd_read", "eventfd_write", "do_wait_intr_irq", "do_wait_intr", "signalfd_read", "signalfd_read_iter",
    "timerfd_read", "timerfd_read_iter",
})  # fmt: skip
_FUTEX = frozenset({"futex_wait_queue_me", "futex_wait_queue", "futex_do_wait", "futex_wait_multiple"})
_POLL = frozenset({"do_sys_poll", "do_select", "poll_schedule_timeout", "do_epoll_wait", "ep_poll"})
_NANOSLEEP = frozenset({"hrtimer_nanosleep", "do_nanosleep"})
_TRANSFER = _STREAM | _PIPE | _MESSAGES | _EVENTS

OWN_WAITS: dict[Form, frozenset[str]] = {
    Form.TRANSFER: _TRANSFER,
    Form.SENDFILE: _TRANSFER,
    Form.HANDSHAKE: _STREAM | _MESSAGES | {"inet_csk_accept", "inet_csk_wait_for_connect"},
    Form.POLL: _POLL,
    Form.SELECT: _POLL,
    Form.EPOLL: _POLL,
    Form.FUTEX: _FUTEX,
    Form.FUTEX_WAIT: _FUTEX,
    Form.FUTEX_WAITV: _FUTEX,
    Form.WAIT4: frozenset({"do_wait"}),
    Form.WAITID: frozenset({"do_wait"}),
    Form.NANOSLEEP: _NANOSLEEP,
    Form.CLOCK_NANOSLEEP: _NANOSLEEP,
    Form.PAUSE: frozenset({"__do_sys_pause", "do_sys_pause", "sigsuspend"}),
    Form.SIGTIMEDWAIT: frozenset({"do_sigtimedwait"}),
    Form.NOWHERE: frozenset(),
}

ELSEWHERE = {
    "handle_userfault": "its memory is being brought in",
    "request_wait_answer": "its memory is being brought in",
    "folio_wait_bit_common": "its memory is being brought in",
    "wait_on_page_bit_common": "its memory is being brought in",
    "seccomp_do_user_notification": "a supervisor decides what becomes of the call",
    "__seccomp_filter": "a supervisor decides what becomes of the call",
}
"""What the most usual other functions mean."""


def asleep_elsewhere(thread: TrackedThread, call: Syscall) -> str | None:
    """Why the thread must not be taken to sleep in the call's own wait; None if it does.

    Where nothing tells the function (5.10 without root, a hidden wchan) its state and the freezers have been asked
    before, and its tracer is asked here. Raises FileNotFoundError or ProcessLookupError if the thread has ended.
    """
    function = thread.sleeps_in()
    if not function:
        tracer = tracer_of(thread.folder)
        return f"{tracer} traces it, and nothing tells where it sleeps" if tracer else None
    if function in OWN_WAITS[call.form]:
        return None
    return f"{ELSEWHERE.get(function, f'not known to be the wait of {call.name}')}: {function}"
