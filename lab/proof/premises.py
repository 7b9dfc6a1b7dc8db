"""All that a proof stands on, as data: the whole trust base of the lab on one page.

A proof shows that a state is an invariant: nothing that is still able to act can change it. Each premise is one
sentence that can be false, with its source, the kernels of which it is known, the evidence that it needs, what happens
where that evidence is missing, and the tests and corpus cases that fail if it is broken. `docs/proof.md` is made of
this table; a verdict lists the ids that it stands on.

No id, no rule: every ruling of `lab.proof.stack` and every qualifier names a premise of this table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from lab.evidence import Item, ResourceKind, Wait, Wants
from lab.syscalls import BY_NAME, Form


class Unseen(StrEnum):
    """What it means where the needed evidence is missing."""

    LIVE = "the thread counts as live: nothing is proven by its wait"
    NOT_PROVEN = "nothing is proven"
    NAMED = "the proof is qualified by it, by name"
    EXCLUDED = "excluded by definition"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a premise comes from: `kernel` (file and function), `rfc`, `man` or `measured`."""

    kind: str
    where: str
    versions: str = ""
    """Of a kernel source: the releases in which it was read."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """The releases of which a premise is known to be true, as `major.minor`: since, and below."""

    since: str = "5.10"
    below: str | None = None

    def __str__(self) -> str:
        return f"Linux {self.since} and newer" if self.below is None else f"Linux {self.since} to below {self.below}"


@dataclass(frozen=True, slots=True)
class Premise:
    """One sentence that can be false, and all that belongs to it."""

    id: str
    says: str
    sources: tuple[Source, ...]
    needs: tuple[str, ...]
    """Fields of `lab.evidence`; what is unknown there proves nothing."""
    unseen: Unseen
    tests: tuple[str, ...]
    """`file::name`, below tests/."""
    cases: tuple[str, ...] = ()
    """Of the corpus."""
    kernels: Kernels = Kernels()
    false_where: str | None = None
    """Where it is known to be false, and what is done there."""
    edge: tuple[str, ...] = ()
    """Tests that show what is done where it is false, or on a kernel beyond its range."""


READ_IN = "5.10, 6.1, 6.12, 6.18, 7.1 and 7.2"
"""The releases in which a kernel source was read, if it does not name others."""


def _kernel(file: str, function: str, versions: str = READ_IN) -> Source:
    return Source("kernel", f"{file}: {function}", versions)


def _rfc(number: int, section: str) -> Source:
    return Source("rfc", f"RFC {number}, {section}")


def _man(page: str) -> Source:
    return Source("man", page)


def _measured(what: str) -> Source:
    return Source("measured", what)


MODEL = (
    Premise(
        id="or-waits",
        says="A thread that sleeps in a system call goes on only if one of the things happens that the call waits for.",
        sources=(_man("poll(2), futex(2), wait(2), send(2), recv(2)"),),
        needs=("ThreadSample.syscall", "ThreadSample.args", "ThreadSample.wait"),
        unseen=Unseen.LIVE,
        tests=(
            "proof/test_threads.py::test_a_thread_of_which_no_wait_is_known_is_live",
            "proof/test_threads.py::test_a_fact_of_a_thread_removed_or_reversed_leaves_no_knot",
            "proof/test_enablers.py::test_a_second_holder_that_may_go_on_leaves_no_knot",
            "kernel/processes/test_waits.py::test_what_is_not_understood_is_unknown",
        ),
        cases=("fifo-later", "terminal-later", "inotify-later"),
    ),
    Premise(
        id="only-holders-act",
        says="Only a thread of a process with a descriptor of a socket, pipe or eventfd can read, write or close it.",
        sources=(_man("unix(7), fork(2), pidfd_getfd(2)"),),
        needs=("ProcessSample.resources", "ProcessSample.read_ends", "ProcessSample.write_ends"),
        unseen=Unseen.LIVE,
        tests=(
            "proof/test_enablers.py::test_a_socket_that_nobody_seen_holds_is_held_by_somebody_unseen",
            "proof/test_enablers.py::test_whoever_holds_either_end_and_every_thread_of_the_waiter_could_end_a_wait_on_a_socket",
            "proof/test_enablers.py::test_the_other_end_of_a_pipe_that_no_process_has_is_somebody_s_who_was_not_seen",
            "kernel/processes/test_waits.py::test_of_a_pipe_into_which_only_the_kernel_writes_no_process_has_the_write_end",
            "kernel/processes/test_autofs.py::test_the_pipe_of_a_mount_is_found_in_any_mount_namespace_and_other_pipes_are_not",
        ),
        cases=("forked-parent-reads-later", "pipe-told-later", "pipe-of-the-kernel", "pipe-of-the-kernel-too"),
        false_where=(
            "What the kernel does by itself needs no descriptor: it reads a TCP socket below AF_KCM, and tells of keys "
            "in a pipe (O_NOTIFICATION_PIPE). An io_uring without mapping and descriptor (NO_MMAP with "
            "REGISTERED_FD_ONLY or IORING_REGISTER_RING_FDS, Linux 6.5) shows nowhere. These are excluded by "
            "definition."
        ),
        edge=(
            "proof/test_enablers.py::test_what_nobody_else_has_a_descriptor_of_only_the_waiter_s_own_process_can_signal",
        ),
    ),
    Premise(
        id="probes-keep-connection",
        says=(
            "TCP keeps a connection while its window probes and its keep-alives are answered, however long the window "
            "is closed."
        ),
        sources=(
            _rfc(9293, "3.8.6.1, MUST-37"),
            _kernel("net/ipv4/tcp_timer.c", "tcp_probe_timer()"),
            _kernel("net/ipv4/tcp_input.c", "tcp_oow_rate_limited()", "6.1 and 6.12"),
        ),
        needs=("SocketSample.probes", "SocketSample.backoff", "Settings.sysctls", "SocketSample.user_timeout_ms"),
        unseen=Unseen.NAMED,
        tests=(
            "proof/test_deadlock.py::test_tcp_gives_up_a_peer_that_does_not_answer",
            "proof/stack/test_stack.py::test_keep_alives_without_an_answer_end_a_connection_that_brings_nothing",
            "proof/test_connection_view.py::test_that_tcp_may_give_up_is_known_by_the_settings_of_both_ends",
            "proof/test_connection_view.py::test_that_tcp_may_give_up_is_asked_of_every_namespace_that_was_looked_into",
            "proof/stack/test_traits.py::test_few_retries_may_be_over_before_a_probe_is_answered",
        ),
        cases=("few-retries", "tcp-user-timeout", "keep-alive-unanswered"),
    ),
    Premise(
        id="no-outside-hand",
        says=(
            "Nobody outside intervenes: no signal by hand, no debugger, no SOCK_DESTROY, no socket option or sysctl "
            "changed from elsewhere, no descriptor taken by pidfd_getfd(), no shortage of memory (tcp_mem, a memory "
            "cgroup), no BPF program that moves a socket's data (sockmap)."
        ),
        sources=(),
        needs=(),
        unseen=Unseen.EXCLUDED,
        tests=(),
    ),
    Premise(
        id="no-end-of-another",
        says=(
            "No process of the knot is ended or signalled because another process ends: its parent (PR_SET_PDEATHSIG, "
            "which nothing shows), the first process of its PID namespace, or the one that has its terminal."
        ),
        sources=(_man("PR_SET_PDEATHSIG(2const), pid_namespaces(7), setsid(2)"),),
        needs=(),
        unseen=Unseen.EXCLUDED,
        tests=(),
    ),
)

SNAPSHOT = (
    Premise(
        id="equal-switches",
        says=(
            "A thread whose call, arguments and switch counters are equal in two readings, each of which reads the "
            "call before the counters, did not run in between."
        ),
        sources=(
            _man("proc_pid_status(5)"),
            _kernel("lib/syscall.c", "task_current_syscall() waits until the thread is off the processor"),
            _measured("a reading of the counters before the call missed 55 of 100,000 threads that ran, 0 this way"),
            _kernel(
                "kernel/sched/core.c", "__schedule() counts nvcsw or nivcsw whenever a thread leaves the processor"
            ),
        ),
        needs=("ThreadSample.switches", "ThreadSample.syscall", "ThreadSample.args", "ThreadSample.state"),
        unseen=Unseen.LIVE,
        tests=(
            "proof/test_threads.py::test_a_fact_of_a_thread_removed_or_reversed_leaves_no_knot",
            "proof/test_threads.py::test_a_thread_that_was_seen_only_once_is_live",
            "kernel/processes/test_threads.py::test_what_a_thread_does_until_its_call_is_told_counts_as_having_run",
            "models/test_models.py::test_no_byte_moves_after_a_rule_has_called_a_window_closed",
            "models/test_models.py::test_a_rule_without_one_of_its_conditions_is_refuted",
        ),
        cases=("polls-in-vain", "retries-in-vain", "asyncio-heartbeat"),
    ),
    Premise(
        id="threads-around-tables",
        says=(
            "What only these threads could change (descriptors, waits, what is written and read) and is read between "
            "their two readings is true of one instant, and a process that joins in between is read again."
        ),
        sources=(_man("proc_pid_fd(5), proc_pid_syscall(5)"),),
        needs=("Snapshot.threads_before", "Snapshot.threads_after", "Snapshot.processes"),
        unseen=Unseen.NOT_PROVEN,
        tests=(
            "proof/test_enablers.py::test_holders_that_were_not_looked_for_are_missing",
            "proof/test_enablers.py::test_a_holder_of_which_no_thread_was_seen_is_live",
            "kernel/test_snapshots.py::test_a_process_that_is_found_late_is_no_premise_and_the_search_is_made_again",
            "kernel/test_snapshots.py::test_a_thread_that_runs_meanwhile_is_said_to_have_run",
        ),
        cases=("first-thread-ended", "table-of-its-own"),
    ),
    Premise(
        id="right-edge",
        says=(
            "While no program runs, the byte counters of both sockets only grow. The right edge of a window is taken "
            "back to RCV.NXT at most, and comes back by __tcp_select_window() alone. So two sockets may be read one "
            "after the other."
        ),
        sources=(
            _rfc(9293, "3.8.6, SHLD-14: a receiver should not shrink its window"),
            _kernel("net/ipv4/tcp_output.c", "tcp_select_window()"),
            _kernel("net/ipv4/tcp_output.c", "tcp_select_window(): ICSK_ACK_NOMEM, tcp_shrink_window", "6.12 and 6.18"),
        ),
        needs=("SocketSample.bytes_acked", "SocketSample.bytes_received", "SocketSample.backlog"),
        unseen=Unseen.NOT_PROVEN,
        tests=(
            "proof/stack/test_stack.py::test_a_writer_may_go_on_if_one_fact_is_reversed",
            "models/test_models.py::test_no_byte_moves_after_a_rule_has_called_a_window_closed",
            "models/test_models.py::test_a_rule_without_one_of_its_conditions_is_refuted",
        ),
        false_where=(
            "Of memory the kernel may be so short that it drops a packet and closes the window at once (since 6.5). "
            "Such a closing shows nothing."
        ),
        edge=(
            "proof/stack/test_history.py::test_any_other_way_to_a_closed_window_shows_nothing",
            "proof/stack/test_closed_window.py::test_a_window_taken_back_for_want_of_memory_opens_again",
        ),
    ),
    Premise(
        id="one-connection",
        says="Two sockets with reversed addresses whose byte counters fit each other are the ends of one connection.",
        sources=(_rfc(9293, "3.4: a connection is identified by its pair of sockets"),),
        needs=("SocketSample.local", "SocketSample.remote", "SocketSample.bytes_acked", "SocketSample.bytes_received"),
        unseen=Unseen.LIVE,
        tests=(
            "proof/test_enablers.py::test_two_ends_whose_counters_do_not_fit_are_of_two_connections",
            "proof/test_enablers.py::test_two_sockets_with_the_same_addresses_leave_the_peer_in_doubt",
            "models/test_models.py::test_no_byte_moves_after_a_rule_has_called_a_window_closed",
            "models/test_models.py::test_a_rule_without_one_of_its_conditions_is_refuted",
        ),
    ),
)

WAITS = (
    Premise(
        id="asleep-in-its-call",
        says="A thread in state S that shows a system call sleeps in the wait of that very call.",
        sources=(
            _man("proc_pid_syscall(5), proc_pid_wchan(5)"),
            _measured("wchan of every call, suspended and not, on 5.10, 6.1, 6.12, 6.18 and 7.2"),
        ),
        needs=("ThreadSample.state", "ThreadSample.suspended", "ThreadSample.wait"),
        unseen=Unseen.LIVE,
        tests=(
            "proof/test_threads.py::test_a_suspended_holder_is_told_and_leaves_no_knot",
            "kernel/processes/test_sleep.py::test_a_thread_in_the_wait_of_another_call_is_elsewhere",
            "kernel/processes/test_sleep.py::test_a_call_that_a_supervisor_holds_has_not_begun_to_wait",
        ),
        cases=("stopped-after-the-seal", "cgroup-frozen", "docker-paused", "seccomp-supervised"),
    ),
    Premise(
        id="descriptor-of-the-call",
        says="The descriptor number among a call's arguments refers to the file that the call sleeps on.",
        sources=(_kernel("include/linux/file.h", "fdget(): a call keeps the file that it began with"),),
        needs=("ThreadSample.args", "ProcessSample.resources"),
        unseen=Unseen.LIVE,
        tests=(
            "kernel/processes/test_descriptors.py::test_a_thread_with_a_table_of_its_own_reads_what_the_number_means_there",
            "kernel/processes/test_waits.py::test_of_a_descriptor_that_was_closed_nobody_knows_who_ends_the_wait",
        ),
        cases=("number-of-its-own",),
        false_where=(
            "Another thread of the program may have closed the number and used it again while the call sleeps. Then "
            "it is what it is now."
        ),
        edge=("kernel/processes/test_waits.py::test_a_descriptor_that_was_closed_and_used_again_is_what_it_is_now",),
    ),
    Premise(
        id="arguments-in-memory",
        says="What a poll, select or futex call read from its program's memory still stands there.",
        sources=(_man("poll(2), select(2)"),),
        needs=("ThreadSample.wait",),
        unseen=Unseen.LIVE,
        tests=(
            "kernel/processes/test_waits.py::test_poll_waits_for_each_descriptor_and_event",
            "kernel/processes/test_waits.py::test_a_set_that_cannot_be_read_any_more_is_unknown",
        ),
        false_where=(
            "Another thread of the program may have overwritten it since the call began. Then it is what it is now."
        ),
        edge=("kernel/processes/test_waits.py::test_a_set_that_was_overwritten_is_read_as_it_is_now",),
    ),
    Premise(
        id="epoll-set",
        says="The fdinfo of an epoll set lists every member with its events; only a holder of the set can change it.",
        sources=(_man("proc_pid_fdinfo(5)"), _kernel("fs/eventpoll.c", "ep_show_fdinfo()")),
        needs=("Item.resource", "Item.edge"),
        unseen=Unseen.LIVE,
        tests=(
            "proof/test_enablers.py::test_edge_triggered_interest_that_is_always_armed_is_understood",
            "kernel/processes/test_descriptors.py::test_an_epoll_member_whose_descriptor_was_used_again_is_still_the_file",
            "kernel/processes/test_wait_builder.py::test_a_one_shot_counts_while_armed_and_no_more_once_fired",
            "kernel/test_snapshots.py::test_a_change_of_an_epoll_set_by_another_thread_is_seen",
        ),
        cases=("epoll-set-by-child", "epoll-number-used-again", "epoll-oneshot-fired", "epoll-nested"),
    ),
    Premise(
        id="polls-by-events",
        says="A poll is woken by data, room, a hang-up or an error of its own files; an error needs an error queue.",
        sources=(
            _kernel("net/ipv4/tcp.c", "tcp_poll()"),
            _kernel("net/core/skbuff.c", "sock_queue_err_skb()"),
        ),
        needs=("Item.wants", "Item.edge", "SocketSample.error_queue"),
        unseen=Unseen.LIVE,
        tests=(
            "proof/test_cycles.py::test_two_idle_edge_triggered_programs_wait_to_read_not_to_write",
            "proof/test_enablers.py::test_what_comes_to_an_error_queue_wakes_who_polls_and_a_write_that_finds_room_then",
            "kernel/processes/test_waits.py::test_poll_waits_for_each_descriptor_and_event",
        ),
        cases=(
            "poll-out",
            "epoll-edge-triggered",
            "time-stamps-wake-a-poll",
            "time-stamps-wake-an-edge",
        ),
    ),
    Premise(
        id="icmp-is-asked-for",
        says="An ICMP error ends a call only on a socket with IP_RECVERR or IPV6_RECVERR, whatever its buffers hold.",
        sources=(
            _kernel("net/ipv4/tcp_ipv4.c", "tcp_v4_err()", "6.18"),
            _measured("a send that is blocked by a full buffer fails when a router says that the host is unreachable"),
        ),
        needs=("SocketSample.error_queue",),
        unseen=Unseen.LIVE,
        tests=("proof/test_enablers.py::test_an_icmp_error_ends_every_call_on_a_socket_that_asks_for_such_errors",),
        cases=("icmp-ends-a-send", "icmp-wakes-a-poll"),
    ),
    Premise(
        id="futex-of-its-memory",
        says="A futex in private memory is woken only by threads that share that memory.",
        sources=(
            _man("futex(2): FUTEX_PRIVATE_FLAG"),
            _kernel("kernel/futex/core.c", "get_futex_key(); before 5.16 in kernel/futex.c"),
        ),
        needs=("ThreadSample.wait",),
        unseen=Unseen.LIVE,
        tests=(
            "kernel/processes/test_waits.py::test_a_shared_futex_is_the_process_s_own_only_in_private_memory",
            "kernel/processes/test_waits.py::test_a_futex_waits_for_the_other_threads_of_the_process",
        ),
        cases=("reader-thread-shared-futex", "memory-shared"),
    ),
    Premise(
        id="children-end-by-themselves",
        says="A wait for a child ends only when a child, a tracee or, for a subreaper, a descendant changes its state.",
        sources=(_man("wait(2), ptrace(2), PR_SET_CHILD_SUBREAPER(2const)"),),
        needs=("Item.resource",),
        unseen=Unseen.LIVE,
        tests=(
            "proof/test_enablers.py::test_a_parent_that_waits_for_its_blocked_child_holds_the_socket_in_vain",
            "kernel/processes/test_waits.py::test_whom_a_process_traces_counts_as_its_child",
        ),
        cases=("child-ends-later", "reaper", "child-of-later"),
    ),
    Premise(
        id="dated-time-limit",
        says="A timed wait does not end before the instant that its arguments and the scheduler's stamp give.",
        sources=(_man("clock_nanosleep(2), proc_timer_list"), _measured("deadlines are right within 20 ms")),
        needs=("Wait.deadline_ns", "Wait.presumed"),
        unseen=Unseen.NAMED,
        tests=(
            "proof/test_deadlock.py::test_a_poll_with_a_time_limit_is_proven_until_then",
            "proof/test_threads.py::test_the_earlier_of_two_readings_of_a_deadline_counts",
            "proof/test_threads.py::test_a_time_limit_counts_as_over_if_less_than_a_second_is_left",
            "kernel/processes/test_deadlines.py::test_where_the_timers_are_hidden_nobody_knows_whether_a_poll_has_slept_before",
        ),
        cases=("poll-woken-in-vain", "poll-limit-then-a-little", "epoll-timerfd-later", "timerfd-set-by-child"),
    ),
    Premise(
        id="socket-time-limits",
        says="A blocked send or receive has no time limit but SO_SNDTIMEO and SO_RCVTIMEO.",
        sources=(_man("socket(7)"), _kernel("include/net/sock.h", "sock_sndtimeo(), sock_rcvtimeo()")),
        needs=("SocketSample.send_timeout_ns", "SocketSample.receive_timeout_ns"),
        unseen=Unseen.LIVE,
        tests=(
            "proof/test_deadlock.py::test_a_fact_of_a_socket_reversed_leaves_no_knot",
            "kernel/processes/test_wait_builder.py::test_a_send_with_a_time_limit_is_timed_and_not_dated",
        ),
        cases=("so-sndtimeo", "so-rcvtimeo"),
        kernels=Kernels("5.6"),
        edge=("proof/test_deadlock.py::test_a_fact_of_a_socket_that_was_not_read_is_missing_by_name",),
    ),
    Premise(
        id="unix-peers",
        says="A connected Unix stream socket gets data from the holders of its peer only.",
        sources=(_man("unix(7)"), _kernel("net/unix/diag.c", "sk_diag_dump_peer()")),
        needs=("Snapshot.peers",),
        unseen=Unseen.LIVE,
        tests=("proof/test_enablers.py::test_an_event_loop_with_a_self_pipe_is_understood",),
        cases=("epoll-unix-later", "unix-datagram-later", "unix-datagrams-elsewhere"),
    ),
)

HOLDERS = (
    Premise(
        id="all-tables-read",
        says="The descriptor tables of all processes and of all their threads were read.",
        sources=(_man("proc_pid_fd(5)"),),
        needs=("Snapshot.unreadable", "Snapshot.unlisted", "ProcessSample.resources"),
        unseen=Unseen.NAMED,
        tests=(
            "proof/test_deadlock.py::test_unreadable_tables_of_strangers_qualify",
            "kernel/processes/test_descriptor_tables.py::test_a_process_holds_what_any_of_its_threads_has_whose_first_one_has_ended_or_closed_it",
        ),
        cases=("table-of-its-own", "first-thread-ended", "thread-of-many-groups"),
    ),
    Premise(
        id="no-descriptor-in-flight",
        says=(
            "No descriptor of the connection lies in the queue of a Unix socket or in an io_uring, and no request of "
            "the knot in a ring of another process."
        ),
        sources=(_man("unix(7): SCM_RIGHTS"), _kernel("net/unix/af_unix.c", "unix_show_fdinfo()")),
        needs=("ProcessSample.in_flight", "ProcessSample.io_uring", "ProcessSample.hidden"),
        unseen=Unseen.NAMED,
        tests=(
            "proof/test_deadlock.py::test_what_cannot_be_seen_of_a_process_qualifies",
            "proof/test_enablers.py::test_a_holder_with_an_io_uring_is_live",
            "kernel/processes/test_descriptor_tables.py::test_a_descriptor_in_flight_is_seen_where_it_lies",
        ),
        cases=(
            "descriptor-in-flight",
            "in-a-new-connection",
            "in-a-connection-abroad",
            "ring-without-descriptor",
            "registered-in-a-ring",
            "ring-without-number",
            "ring-of-a-child",
            "ring-in-own-memory",
        ),
        kernels=Kernels("5.6"),
        edge=("proof/stack/test_stack.py::test_a_fact_that_is_missing_is_named",),
    ),
    Premise(
        id="no-hidden-handler",
        says="No signal runs a handler in a process of the knot.",
        sources=(
            _man("signal(7), fcntl(2): F_SETSIG, F_SETLEASE, F_NOTIFY, F_SETOWN_EX; mq_notify(3)"),
            _kernel("fs/notify/dnotify/dnotify.c", "fcntl_dirnotify()", "6.18"),
        ),
        needs=("ProcessSample.hidden", "ProcessSample.reaps"),
        unseen=Unseen.NAMED,
        tests=(
            "proof/test_deadlock.py::test_what_may_signal_a_process_of_its_own_accord_is_named",
            "proof/test_deadlock.py::test_a_child_that_may_end_runs_a_handler_and_one_that_is_stuck_itself_does_not",
            "kernel/processes/test_signal_sources.py::test_a_descriptor_may_raise_signals",
            "kernel/processes/test_signal_sources.py::test_a_thread_that_owns_a_file_of_another_process_is_told_by_its_process",
            "kernel/processes/test_signal_sources.py::test_a_message_queue_is_told_from_other_files",
            "kernel/processes/test_descriptor_tables.py::test_the_children_of_a_child_whose_end_tells_nothing_may_become_its_own",
            "kernel/processes/test_descriptor_tables.py::test_the_first_process_of_a_pid_namespace_gets_every_orphan_of_it",
        ),
        cases=(
            "sigchld-handler",
            "sigio-handler",
            "sigio-by-default",
            "sigurg-handler",
            "end-signal-handler",
            "message-queue-notifies",
            "message-queue-mounted",
            "signal-through-another",
            "signal-to-a-thread",
            "directory-watched",
            "orphan-of-a-subreaper",
            "orphan-of-a-namespace",
            "terminal-hangs-up",
            "terminal-resized",
        ),
    ),
    Premise(
        id="no-alarm",
        says="No alarm or POSIX timer of a process of the knot is pending.",
        sources=(_man("alarm(2), setitimer(2), proc_pid_timers(5)"),),
        needs=("ProcessSample.catches_alarm", "ProcessSample.posix_timers", "ProcessSample.alarm_ends_it"),
        unseen=Unseen.NAMED,
        tests=(
            "proof/test_deadlock.py::test_what_cannot_be_seen_of_a_process_qualifies",
            "proof/test_deadlock.py::test_an_alarm_or_a_timer_of_a_stranger_does_not_matter",
        ),
        cases=("alarm-with-handler", "alarm-by-default", "setitimer-with-handler", "posix-timer", "signalfd-alarm"),
    ),
    Premise(
        id="eventfd-by-holder",
        says=(
            "An eventfd is signalled by its holders only: by no ring, no device and no memory threshold of a cgroup of "
            "version 1."
        ),
        sources=(_man("eventfd(2), io_uring_register(2): IORING_REGISTER_EVENTFD"),),
        needs=("ProcessSample.signals", "Snapshot.thresholds"),
        unseen=Unseen.NAMED,
        tests=(
            "proof/test_deadlock.py::test_the_kernel_may_signal_an_eventfd_for_a_stranger",
            "proof/test_deadlock.py::test_the_kernel_may_signal_any_eventfd_for_a_memory_threshold",
        ),
        cases=("aio-eventfd", "eventfd-by-stranger", "epoll-eventfd-later"),
    ),
    Premise(
        id="runtime-housekeeping",
        says="The housekeeping threads of the JVM and of Go touch no socket of the application, and while they sleep "
        "they wake none of its threads. One that runs is live: threads may wait for it, as at a safepoint.",
        sources=(_measured("OpenJDK 17, Go 1.19 to 1.24, while their programs were frozen"),),
        needs=("ProcessSample.runtime", "ThreadSample.comm"),
        unseen=Unseen.NAMED,
        tests=(
            "proof/test_threads.py::test_housekeeping_of_a_jvm_is_a_named_assumption",
            "proof/test_threads.py::test_housekeeping_that_runs_may_wake_whom_it_holds_up",
            "proof/test_threads.py::test_sysmon_of_go_is_told_by_the_absence_of_any_go_timer",
        ),
        cases=("java-echo", "java-reads-later"),
    ),
    Premise(
        id="no-new-connection",
        says=(
            "No further connection comes to a listening socket of the knot, whenever it was opened, and nobody shuts "
            "that socket down. One that has begun and is seen ends the wait."
        ),
        sources=(_man("accept(2), shutdown(2), tcp(7): TCP_DEFER_ACCEPT, ip-sysctl: tcp_migrate_req"),),
        needs=("Item.resource",),
        unseen=Unseen.NAMED,
        tests=(
            "proof/test_deadlock.py::test_a_listener_closes_the_world",
            "proof/test_deadlock.py::test_a_stranger_that_has_the_listener_too_may_shut_it_down",
            "kernel/processes/test_waits.py::test_a_wait_for_a_new_connection_is_unknown_while_one_has_begun",
            "kernel/processes/test_waits.py::test_a_connection_that_nobody_has_answered_yet_has_begun",
            "kernel/processes/test_waits.py::test_a_connection_in_the_queue_of_another_listener_of_the_port_may_be_handed_over",
        ),
        cases=(
            "new-connection-later",
            "listener-shut",
            "asyncio-server",
            "accept-deferred-until-data",
            "accept-deferred-for-a-time",
            "call-not-heard-yet",
            "accepted-for-another",
        ),
    ),
)

STACK = (
    Premise(
        id="window-selection",
        says=(
            "__tcp_select_window() gives 0 while what is free is less than both a segment and a quarter of the buffer, "
            "or is less than a seventeenth of the buffer. What is free grows only by a read."
        ),
        sources=(_kernel("net/ipv4/tcp_output.c", "__tcp_select_window()", "5.4 to 7.2"), _rfc(9293, "3.8.6.2.2")),
        needs=("SocketSample.rcvbuf", "SocketSample.rmem_alloc", "SocketSample.rcv_mss", "SocketSample.rcv_wnd"),
        unseen=Unseen.NOT_PROVEN,
        tests=(
            "proof/stack/test_closed_window.py::test_less_than_a_sixteenth_of_a_large_buffer_is_no_window",
            "proof/stack/test_closed_window.py::test_a_full_queue_behind_a_window_that_is_closed_for_good_stays_full",
            "models/test_models.py::test_no_byte_moves_after_a_rule_has_called_a_window_closed",
            "models/test_models.py::test_a_rule_without_one_of_its_conditions_is_refuted",
        ),
        cases=("upper-squeezed", "upper-default"),
    ),
    Premise(
        id="window-clamp",
        says=(
            "__tcp_select_window() makes both of its tests while what is free comes to less than half of "
            "TCP_WINDOW_CLAMP, and to less than half of the buffer's share."
        ),
        sources=(_kernel("net/ipv4/tcp_output.c", "__tcp_select_window()", "5.4 to 7.2"),),
        needs=("SocketSample.window_clamp", "SocketSample.rcv_wscale"),
        unseen=Unseen.NOT_PROVEN,
        tests=(
            "proof/stack/test_closed_window.py::test_above_half_of_the_largest_window_no_free_space_is_too_little",
            "proof/stack/test_unseen_window.py::test_a_clamp_that_was_lowered_since_the_answer_may_open_the_window",
            "models/test_models.py::test_no_byte_moves_after_a_rule_has_called_a_window_closed",
            "models/test_models.py::test_a_rule_without_one_of_its_conditions_is_refuted",
        ),
        cases=("window-clamp-lowered", "rcvlowat-raised"),
    ),
    Premise(
        id="unseen-window",
        says=(
            "With nothing in flight, all received bytes acknowledged and snd_wnd 0, the peer's right edge was its "
            "rcv_nxt when it sent the segment that the sender heard last, and nothing has filled its buffer since."
        ),
        sources=(
            _kernel("net/ipv4/tcp_input.c", "tcp_ack_update_window()"),
            _kernel("net/ipv4/tcp_input.c", "tcp_init_buffer_space()", "6.1 and 6.12"),
            _measured("5,304 directions called closed on 5.10 and 6.1: none moved; all 6,118 true windows were 0"),
            _measured("scripts/dev/places --only verdicts: 4,732 more, none refuted (docs/where-it-runs.md)"),
        ),
        needs=(
            "SocketSample.snd_wnd",
            "SocketSample.unacked",
            "SocketSample.notsent_bytes",
            "SocketSample.bytes_acked",
            "SocketSample.bytes_received",
            "SocketSample.backlog",
            "SocketSample.rcvbuf_locked",
            "SocketSample.window_clamp",
        ),
        unseen=Unseen.NAMED,
        tests=(
            "models/test_models.py::test_no_byte_moves_after_a_rule_has_called_a_window_closed",
            "proof/stack/test_unseen_window.py::test_every_premise_of_an_unseen_window_is_needed",
            "proof/stack/test_unseen_window.py::test_a_receive_buffer_that_may_have_been_lowered_is_named",
            "models/test_models.py::test_a_rule_without_one_of_its_conditions_is_refuted",
            "proof/test_connection_view.py::test_a_program_of_the_lab_does_not_lower_its_receive_buffer_once_it_is_connected",
        ),
        kernels=Kernels("5.6", "6.2"),
        edge=(
            "proof/stack/test_stack.py::test_a_fact_that_is_missing_is_named",
            "proof/stack/test_unseen_window.py::test_a_window_that_is_told_is_judged_as_it_is_told",
        ),
    ),
    Premise(
        id="window-selection-by-scale",
        says="Below Linux 6.6 __tcp_select_window() gives 0 where tcp_adv_win_scale makes too little of what is free.",
        sources=(
            _kernel("net/ipv4/tcp_output.c", "__tcp_select_window()", "5.4, 5.10, 5.15 and 6.1"),
            _kernel("include/net/tcp.h", "tcp_win_from_space()", "5.4, 5.10, 5.15 and 6.1"),
            _measured("whether tcp_adv_win_scale is in effect, by a socket of the lab's own"),
        ),
        needs=(
            "Evidence.adv_win_scale_counts",
            "Evidence.settings_of",
            "Settings.sysctls",
            "SocketSample.window_clamp",
            "SocketSample.rcv_wscale",
        ),
        unseen=Unseen.NOT_PROVEN,
        tests=(
            "models/test_models.py::test_no_byte_moves_after_a_rule_has_called_a_window_closed",
            "proof/stack/test_unseen_window.py::test_the_kernels_own_choice_is_made_again_to_the_bit",
            "proof/stack/test_unseen_window.py::test_the_share_in_effect_shows_that_too_little_is_free",
        ),
        kernels=Kernels("5.6", "6.2"),
        edge=(
            "proof/stack/test_unseen_window.py::test_without_the_share_more_free_space_decides_nothing_and_the_missing_fact_is_named",
            "proof/stack/test_unseen_window.py::test_a_window_that_is_told_is_judged_as_it_is_told",
        ),
    ),
    Premise(
        id="answered-probe",
        says=(
            "A probe that was answered with window 0 has shown that what is free makes no window, until the program "
            "sets its receive buffer or reads on after shutdown(SHUT_RD). Where what is free shows that SO_RCVBUF was "
            "raised since, nothing is proven. A raise too small to show qualifies the proof, by name."
        ),
        sources=(
            _kernel("net/ipv4/tcp_input.c", "tcp_ack() sets rcv_tstamp for every acceptable acknowledgment"),
            _kernel("net/ipv4/tcp.c", "tcp_cleanup_rbuf()", "6.1 and 6.12"),
            _kernel("net/ipv4/tcp_input.c", "tcp_may_update_window()", "6.1 and 6.12"),
            _measured("bare answered probes, without the peer's window: refuted 15 of 2796 and 8 of 2472"),
            _measured("data sent again, taken for an answer, on 6.1: 1 of 639 refuted"),
            _measured("TCP_WINDOW_CLAMP lowered since the answer, on 6.1: 6 of 6 refuted; `window-clamp` excludes it"),
        ),
        needs=(
            "SocketSample.last_data_sent_ms",
            "SocketSample.last_ack_recv_ms",
            "SocketSample.rto_us",
            "SocketSample.backoff",
            "SocketSample.rcvbuf_locked",
            "SocketSample.earlier",
        ),
        unseen=Unseen.NAMED,
        tests=(
            "proof/stack/test_closed_window.py::test_one_answered_probe_shows_that_a_peer_with_some_room_does_not_open",
            "proof/stack/test_closed_window.py::test_what_an_answered_probe_has_shown_is_over_once_more_is_free_than_explains_it",
            "proof/stack/test_closed_window.py::test_what_is_free_explains_nothing_once_the_program_has_set_the_size",
            "proof/stack/test_closed_window.py::test_a_path_that_is_slower_than_a_probe_is_told_from_one",
            "models/test_models.py::test_no_byte_moves_after_a_rule_has_called_a_window_closed",
            "models/test_models.py::test_a_rule_without_one_of_its_conditions_is_refuted",
            "proof/stack/test_unseen_window.py::test_data_that_the_peer_sends_again_is_no_answer_to_a_probe",
            "proof/stack/test_history.py::test_a_buffer_that_was_filled_and_read_between_two_samples_has_changed",
        ),
        cases=("rcvbuf-raised", "rcvbuf-raised-a-little", "read-after-shutdown"),
    ),
    Premise(
        id="seen-to-close",
        says=(
            "An end whose program sleeps, and that offered a window and then none with its present content already "
            "in a buffer of one size, has asked __tcp_select_window() with that content, unless a packet was "
            "dropped for want of memory."
        ),
        sources=(
            _kernel("net/ipv4/tcp_output.c", "tcp_select_window()"),
            _kernel("net/core/sock.c", "__release_sock(): the backlog counts until all of it is worked off"),
            _kernel("include/net/tcp.h", "tcp_space()"),
            _measured("129 windows called closed by it in 1.1 million samples: none opened"),
        ),
        needs=("SocketSample.earlier", "SocketSample.drops", "SocketSample.rcvbuf_locked"),
        unseen=Unseen.NOT_PROVEN,
        tests=(
            "proof/stack/test_closed_window.py::test_a_window_that_was_seen_to_close_needs_no_answered_probe",
            "proof/stack/test_history.py::test_a_window_that_closed_with_all_that_is_there_now_was_seen_to_close",
            "proof/stack/test_history.py::test_any_other_way_to_a_closed_window_shows_nothing",
            "proof/stack/test_history.py::test_a_window_that_closes_while_the_writer_may_be_at_work_may_have_closed_for_a_backlog",
            "models/test_models.py::test_no_byte_moves_after_a_rule_has_called_a_window_closed",
            "models/test_models.py::test_a_rule_without_one_of_its_conditions_is_refuted",
        ),
        cases=("echo-squeezed",),
        kernels=Kernels("6.2"),
        edge=("proof/stack/test_history.py::test_any_other_way_to_a_closed_window_shows_nothing",),
    ),
    Premise(
        id="refused-flight",
        says=(
            "Data in flight of which the peer has received nothing lies beyond a window of 0. Whenever it arrives, it "
            "is dropped."
        ),
        sources=(
            _kernel(
                "net/ipv4/tcp_input.c", "tcp_data_queue(): at window 0 a packet is dropped; else it is taken whole"
            ),
        ),
        needs=("SocketSample.backoff", "SocketSample.unacked", "SocketSample.notsent_bytes"),
        unseen=Unseen.NOT_PROVEN,
        tests=(
            "proof/stack/test_in_flight.py::test_data_in_flight_that_the_peer_has_refused_is_no_motion",
            "proof/stack/test_in_flight.py::test_a_received_byte_of_which_the_acknowledgment_is_on_its_way_is_motion",
            "proof/stack/test_stack.py::test_a_writer_may_go_on_if_one_fact_is_reversed",
            "models/test_models.py::test_no_byte_moves_after_a_rule_has_called_a_window_closed",
            "models/test_models.py::test_a_rule_without_one_of_its_conditions_is_refuted",
        ),
        cases=("echo-squeezed",),
    ),
    Premise(
        id="one-third-free",
        says="An arriving segment wakes a writer only if a third of the send buffer is free.",
        sources=(
            _kernel("include/net/sock.h", "__sk_stream_is_writeable(), sk_stream_is_writeable()"),
            _kernel("net/core/stream.c", "sk_stream_write_space()"),
        ),
        needs=("SocketSample.wmem_queued", "SocketSample.sndbuf"),
        unseen=Unseen.NOT_PROVEN,
        tests=(
            "proof/stack/test_send_buffer.py::test_a_queue_with_less_than_a_third_free_stays_only_while_no_data_can_arrive",
            "proof/stack/test_send_buffer.py::test_exactly_a_third_free_is_room",
            "proof/test_enablers.py::test_a_writer_that_a_signal_may_wake_is_judged_by_a_full_queue",
        ),
        cases=("upper-squeezed",),
    ),
    Premise(
        id="unsent-limit",
        says="A writer waits while as many bytes are unsent as TCP_NOTSENT_LOWAT, or tcp_notsent_lowat, allows.",
        sources=(
            _kernel("net/ipv4/tcp_ipv4.c", "tcp_stream_memory_free(); in 5.10 in include/net/tcp.h"),
            _man("tcp(7): TCP_NOTSENT_LOWAT"),
        ),
        needs=("SocketSample.notsent_bytes", "SocketSample.notsent_lowat", "Settings.sysctls"),
        unseen=Unseen.NOT_PROVEN,
        tests=(
            "proof/stack/test_send_buffer.py::test_too_many_unsent_bytes_keep_a_writer_waiting_behind_a_closed_window",
        ),
    ),
    Premise(
        id="write-retry",
        says=(
            "A blocked write is tried again by itself once, after HZ/5 + 1 jiffies at most, and never if the buffer "
            "was full."
        ),
        sources=(
            _kernel("net/core/stream.c", "sk_stream_wait_memory(): vm_wait"),
            _kernel("net/ipv4/tcp_output.c", "tcp_grow_skb()", "6.12 to 7.2"),
            _kernel("net/ipv4/tcp.c", "tcp_sendmsg_locked(), tcp_xmit_size_goal()", "6.1 and 6.12"),
            _measured("up to 203 ms in 166 of 3 400 sockets of proxies with blocks of 4096 bytes"),
        ),
        needs=("SocketSample.earlier",),
        unseen=Unseen.LIVE,
        tests=(
            "proof/test_enablers.py::test_a_write_that_may_go_on_by_itself_is_live_where_its_buffer_has_room",
            "proof/test_enablers.py::test_a_write_that_fits_one_packet_has_gone_to_sleep_for_good",
            "proof/stack/test_history.py::test_a_write_may_be_tried_again_for_a_while_after_the_last_byte",
        ),
        cases=("proxy-and-server-in-one",),
    ),
    Premise(
        id="packet-merging",
        says="Waiting packets may be merged, and a packet takes 640 bytes beside its payload at least.",
        sources=(
            _kernel("net/ipv4/tcp_output.c", "tcp_grow_skb()", "6.12 to 7.2"),
            _measured("832 bytes on 6.18, 896 on 6.12 and 7.2, 1280 on 5.10 and 6.1"),
        ),
        needs=("SocketSample.wmem_queued", "SocketSample.pacing_rate", "SocketSample.unacked"),
        unseen=Unseen.NOT_PROVEN,
        tests=(
            "proof/stack/test_send_buffer.py::test_packets_that_wait_may_still_be_merged_while_they_are_paced_or_in_flight",
        ),
    ),
    Premise(
        id="send-buffer-growth",
        says="A send buffer grows by tcp_sndbuf_expand() up to tcp_wmem[2], and not at all if SO_SNDBUF is set.",
        sources=(
            _kernel("net/ipv4/tcp_input.c", "tcp_sndbuf_expand(), tcp_should_expand_sndbuf()"),
            _kernel(
                "net/ipv4/tcp_input.c",
                "tcp_may_raise_cwnd(), tcp_process_loss(), tcp_limit_reno_sacked()",
                "6.1 and 6.12",
            ),
            _kernel("net/ipv4/tcp_bbr.c", "bbr_set_cwnd(), bbr_check_probe_rtt_done()", "6.1 and 6.12"),
            _kernel("include/net/tcp.h", "sndbuf_expand() of a congestion control", "6.1 and 6.12"),
            _kernel("include/net/sock.h", "sk_stream_moderate_sndbuf()", "6.1 and 6.12"),
        ),
        needs=(
            "SocketSample.sndbuf",
            "SocketSample.sndbuf_locked",
            "SocketSample.snd_cwnd",
            "SocketSample.advmss",
            "SocketSample.congestion",
            "Evidence.max_tcp_header",
            "Settings.sysctls",
        ),
        unseen=Unseen.NOT_PROVEN,
        tests=(
            "proof/stack/test_send_buffer.py::test_a_send_buffer_that_autotuning_may_still_expand_is_room",
            "proof/stack/test_send_buffer.py::test_a_send_buffer_at_its_target_does_not_grow",
            "proof/stack/test_send_buffer.py::test_the_announced_segment_and_the_kernel_say_in_which_steps_a_buffer_grows",
            "proof/stack/test_send_buffer.py::test_a_send_buffer_that_memory_pressure_has_cut_grows_again",
            "proof/stack/test_send_buffer.py::test_bbr_at_its_least_may_return_to_any_window_of_before",
            "proof/stack/test_send_buffer.py::test_a_congestion_control_that_is_not_known_may_come_to_any_window",
        ),
        cases=("sndbuf-unlocked",),
    ),
    Premise(
        id="silly-window",
        says=(
            "Behind a window smaller than a segment the persist timer sends exactly what fits, in one packet, and the "
            "peer takes it without making room."
        ),
        sources=(
            _rfc(9293, "3.8.6.2.1"),
            _kernel("net/ipv4/tcp_output.c", "tcp_write_wakeup()"),
            _kernel("net/ipv4/tcp_output.c", "tcp_write_xmit()", "6.1 and 6.12"),
            _kernel("net/ipv4/tcp_cong.c", "tcp_slow_start(), tcp_cong_avoid_ai()", "6.1 and 6.12"),
            _kernel("net/ipv4/tcp_bbr.c", "bbr_set_cwnd()", "6.1 and 6.12"),
            _kernel("net/ipv4/tcp_input.c", "tcp_prune_queue()", "6.1 and 6.12"),
        ),
        needs=("SocketSample.snd_wnd", "SocketSample.rcv_wnd", "SocketSample.timer", "SocketSample.ca_state"),
        unseen=Unseen.NOT_PROVEN,
        tests=(
            "proof/stack/test_silly_window.py::test_one_small_segment_that_still_fits_makes_no_room",
            "proof/stack/test_silly_window.py::test_a_small_segment_is_motion_if_one_fact_is_otherwise",
            "models/test_models.py::test_one_small_segment_moves_and_no_byte_after_it",
            "models/test_models.py::test_more_than_one_small_segment_moves_without_one_of_the_conditions",
        ),
        cases=("echo-squeezed",),
        kernels=Kernels("6.2"),
        edge=("proof/stack/test_silly_window.py::test_a_small_segment_is_motion_if_one_fact_is_otherwise",),
    ),
    Premise(
        id="capacity",
        says=(
            "A byte of payload costs at least a byte of receive buffer, and a receive buffer grows without a read up "
            "to tcp_rmem[2], and not at all if SO_RCVBUF is set."
        ),
        sources=(
            _kernel("net/ipv4/tcp_input.c", "tcp_collapse(), tcp_try_rmem_schedule()"),
            _kernel("net/ipv4/tcp_input.c", "tcp_clamp_window(), of tcp_prune_queue()", "6.1 and 6.12"),
            _kernel("net/ipv4/tcp_input.c", "tcp_data_queue_ofo(): tcp_rcvbuf_grow()", "6.18"),
            _measured("with lost segments and nobody reading, 16,384 bytes became 30,618 to 51,060 on 6.18"),
        ),
        needs=(
            "SocketSample.rqueue",
            "SocketSample.rcvbuf",
            "SocketSample.rcvbuf_locked",
            "SocketSample.rcv_wnd",
            "SocketSample.rcv_wscale",
            "Settings.sysctls",
        ),
        unseen=Unseen.NOT_PROVEN,
        tests=(
            "proof/stack/test_capacity.py::test_what_the_peer_could_never_take_needs_no_closed_window",
            "proof/stack/test_capacity.py::test_what_the_peer_could_never_take_is_no_argument_for_a_buffer_that_may_grow",
            "proof/stack/test_capacity.py::test_a_receive_buffer_that_is_not_set_takes_up_to_tcp_rmem_without_a_read",
            "proof/stack/test_capacity.py::test_a_window_is_rounded_up_to_its_unit",
        ),
        cases=("one-big-write",),
        kernels=Kernels("6.2"),
        edge=("proof/stack/test_capacity.py::test_of_a_peer_whose_window_is_not_told_no_capacity_is_known",),
    ),
    Premise(
        id="ack-starvation",
        says=(
            "A receiver with unread data drops a segment that ends beyond its window of now, and the "
            "acknowledgment with it. A peer numbers its acknowledgments so while less than one unit of its window "
            "scale lies beyond. What it sent before that is not under way once its last data is older than its RTO."
        ),
        sources=(
            _kernel("net/ipv4/tcp_input.c", "tcp_sequence()", "6.18"),
            _kernel("net/ipv4/tcp_output.c", "tcp_acceptable_seq()"),
            _measured("0 of 105 refuted on 6.18.44, 7 of 11 on 7.2, where the largest edge ever offered counts"),
        ),
        needs=(
            "Evidence.release",
            "SocketSample.rcv_wscale",
            "SocketSample.rqueue",
            "SocketSample.backoff",
            "SocketSample.rtt_us",
            "SocketSample.last_data_sent_ms",
        ),
        unseen=Unseen.NOT_PROVEN,
        tests=(
            "proof/stack/test_ack_starvation.py::test_a_sender_that_drops_every_acknowledgment_is_stuck_until_tcp_gives_up",
            "proof/stack/test_ack_starvation.py::test_starvation_needs_every_one_of_its_facts",
            "models/test_models.py::test_nothing_reaches_whoever_starvation_is_claimed_of",
            "models/test_models.py::test_something_does_where_one_condition_of_starvation_is_left_out",
        ),
        cases=("starved-48-byte-reads", "starved-96-byte-reads"),
        kernels=Kernels("6.17", "7.0"),
        edge=(
            "proof/stack/test_traits.py::test_which_releases_drop_what_ends_beyond_the_window",
            "proof/stack/test_ack_starvation.py::test_starvation_is_not_claimed_of_a_kernel_that_takes_the_acknowledgment",
        ),
    ),
    Premise(
        id="plain-tcp",
        says="Nothing lies above TCP in the kernel and moves data by itself (kTLS, MPTCP).",
        sources=(_man("tcp(7): TCP_ULP"), _kernel("net/ipv4/tcp_diag.c", "tcp_diag_put_ulp()")),
        needs=("SocketSample.ulp",),
        unseen=Unseen.NOT_PROVEN,
        tests=("proof/test_deadlock.py::test_what_lies_above_tcp_in_the_kernel_is_not_understood",),
    ),
)

TABLE: tuple[Premise, ...] = (*MODEL, *SNAPSHOT, *WAITS, *HOLDERS, *STACK)

BY_ID = {premise.id: premise for premise in TABLE}

ALWAYS = (
    "or-waits",
    "only-holders-act",
    "probes-keep-connection",
    "no-outside-hand",
    "no-end-of-another",
    "icmp-is-asked-for",
    "equal-switches",
    "threads-around-tables",
    "one-connection",
    "asleep-in-its-call",
    "all-tables-read",
    "no-descriptor-in-flight",
    "no-hidden-handler",
    "no-alarm",
    "plain-tcp",
)
"""Every proof stands on these."""

_OF_FORM = {
    **dict.fromkeys((Form.POLL, Form.SELECT), ("arguments-in-memory", "polls-by-events")),
    Form.EPOLL: ("epoll-set", "polls-by-events"),
    **dict.fromkeys((Form.FUTEX, Form.FUTEX_WAIT, Form.FUTEX_WAITV), ("arguments-in-memory", "futex-of-its-memory")),
}
_OF_KIND = {ResourceKind.UNIX: "unix-peers", ResourceKind.EVENTFD: "eventfd-by-holder"}


def of_wait(wait: Wait | None) -> Iterator[str]:
    """The premises that a proof stands on if it rests on this wait."""
    if wait is None:
        return
    call = BY_NAME.get(wait.call)
    of_form = _OF_FORM.get(call.form) if call else None
    yield from of_form or (("descriptor-of-the-call",) if any(map(_by_descriptor, wait.items)) else ())
    for item in wait.items:
        if of_form is None and item.resource.kind is ResourceKind.SOCKET:
            yield "socket-time-limits"
        if item.wants is Wants.END:
            yield "children-end-by-themselves"
        if premise := _OF_KIND.get(item.resource.kind):
            yield premise
    if wait.deadline_ns is not None:
        yield "dated-time-limit"


def _by_descriptor(item: Item) -> bool:
    """Whether a call that waits for this has a descriptor among its arguments."""
    return item.wants not in (Wants.END, Wants.WAKE)
