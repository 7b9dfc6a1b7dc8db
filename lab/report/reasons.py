"""Every reason in words: the one place where sentences about evidence are made."""

from collections.abc import Iterable

from lab.evidence import Wants
from lab.proof.stack.ruling import Argument
from lab.reason import Fact, Qualifier, Reason, Why

WANTS = {
    Wants.WRITE: "room to write",
    Wants.READ: "data to read",
    Wants.ACCEPT: "a new connection",
    Wants.WAKE: "a wake-up",
    Wants.END: "the end of a child",
}
ARGUMENTS = {
    Argument.CLOSED_WINDOW: "the peer's window is closed for good",
    Argument.SILLY_WINDOW: "the peer takes one small segment more, and nothing after it",
    Argument.CAPACITY: "more is queued than the peer could ever take without a read",
    Argument.ACK_STARVATION: "the sender drops every acknowledgment of the peer",
    Argument.NOTHING_QUEUED: "nothing is on its way",
}

OF_A_PROGRAM = frozenset(
    {
        Why.NO_TABLE, Why.HIDDEN, Why.ALARM_NOT_READ, Why.CATCHES_ALARM, Why.ALARMS_HIDDEN, Why.ENDED_BY_ALARM,
        Why.TIMERS_NOT_READ, Why.POSIX_TIMERS,
    }
)  # fmt: skip
"""What is said of a program: its name is the first fact."""
MOST_NAMES = 3


def words(reason: Reason | Qualifier) -> str:
    """The sentence."""
    if isinstance(reason, Qualifier):
        return words(reason.reason)
    return SENTENCES[reason.why].format(*map(_fact, reason.facts))


def all_words(reasons: Iterable[Reason | Qualifier]) -> tuple[str, ...]:
    return tuple(map(words, reasons))


def folded(reasons: Iterable[Reason | Qualifier]) -> tuple[str, ...]:
    """The sentences for a person: what is said of several programs alike is one sentence, with all their names."""
    alike: dict[object, list[Reason]] = {}
    for each in reasons:
        reason = each.reason if isinstance(each, Qualifier) else each
        of_a_program = reason.why in OF_A_PROGRAM
        alike.setdefault((reason.why, reason.facts[1:]) if of_a_program else reason, []).append(reason)
    return tuple(words(_together(found)) for found in alike.values())


def _together(alike: list[Reason]) -> Reason:
    first = alike[0]
    if len(alike) == 1:
        return first
    names = dict.fromkeys(str(each.facts[0]) for each in alike)
    more = [f"{len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
    return Reason(first.why, (", ".join([*names][:MOST_NAMES] + more), *first.facts[1:]))


def _fact(fact: Fact) -> str | int | float:
    if isinstance(fact, Reason):
        return words(fact)
    if isinstance(fact, tuple):
        return " or ".join(map(words, fact))
    if isinstance(fact, Wants):
        return WANTS[fact]
    if isinstance(fact, Argument):
        return ARGUMENTS[fact]
    return fact


SENTENCES: dict[Why, str] = {
    Why.COUNTERS_DO_NOT_FIT: "{} is in motion: its counters do not fit each other",
    Why.NOT_YET_REFUSED: "{} bytes of {} are in flight and not yet refused",
    Why.ACKNOWLEDGMENT_UNDER_WAY: "{} may have received {} bytes whose acknowledgment is on its way",
    Why.NO_RCV_WND: "tcpi_rcv_wnd of {} (Linux 6.2)",
    Why.NO_SND_WND: "tcpi_snd_wnd of {} (Linux 5.4)",
    Why.WINDOW_OPEN: "{} offers a window of {} bytes",
    Why.CLOSING_NOT_HEARD: "{} has not yet heard that its peer's window is closed",
    Why.BACKLOG: "segments wait in the backlog between {} and {}",
    Why.MAY_REOPEN: "{} has {} bytes free and may open its window when it answers a probe",
    Why.QUEUE_FULL: "{}: {}; {} bytes queued, send buffer at most {}",
    Why.TOO_MUCH_UNSENT: "{}: the peer's window is closed for good; {} bytes unsent, the most of TCP_NOTSENT_LOWAT",
    Why.NO_THIRD_FREE: "{}: {}; {} bytes queued, send buffer at most {}, less than a third free",
    Why.DATA_MAY_ARRIVE: "data may arrive at {} and wake its writer: {}",
    Why.SNDBUF_MAY_GROW: "the send buffer of {} may grow from {} to {} bytes",
    Why.MAY_HAVE_ROOM: "{} may come to have room: {} of {} bytes are sure to stay queued",
    Why.ACK_STARVED: "{}: the sender drops every acknowledgment of the peer; {} of {} bytes queued",
    Why.ONLY_REPEATS: "{} only repeats what {} has: the sender drops every acknowledgment of the peer",
    Why.STATE_NOT_UNDERSTOOD: "{} is {}: only ESTABLISHED and CLOSE-WAIT are understood",
    Why.NO_USER_TIMEOUT: "TCP_USER_TIMEOUT of {}",
    Why.USER_TIMEOUT: "the kernel ends {} by itself: TCP_USER_TIMEOUT {} ms",
    Why.KEEPALIVE_UNANSWERED: "the kernel ends {} by itself unless the peer answers: {} keep-alives are unanswered",
    Why.ULP: "what {} above {} moves by itself",
    Why.NOTHING_QUEUED: "{} has nothing queued",
    Why.HAS_ROOM: "{} has room: {} of {} bytes are queued",
    Why.READABLE: "{} is readable: {} bytes wait",
    Why.PEER_HAS_ENDED: "{} is readable: its peer has ended its side",
    Why.NOTHING_TO_SEND: "{} has nothing to send",
    Why.CLOSED_FOR_GOOD: "{} has closed its window for good",
    Why.NEITHER_SENDS: "{}: neither end has anything to send",
    Why.ONLY_A_THREAD: "only a thread can",
    Why.NO_HOLDER_SEEN: "no process that was looked at holds it",
    Why.THREADS_NOT_SEEN: "its threads were not seen",
    Why.IN_NO_CALL: "it is in no system call",
    Why.UNKNOWN_WAKER: "{}: nobody knows who wakes it",
    Why.NO_UNIX_PEER: "the other end of {} (unix_diag)",
    Why.NO_RECORD: "the record of {} (inet_diag)",
    Why.PEER_NOT_FOUND: "the peer of {}: {} was not found on this host",
    Why.NOT_ONE_CONNECTION: "the peer of {}: the counters of {} do not fit its own",
    Why.NO_TIME_LIMIT_READ: "{} of {}",
    Why.SOCKET_TIME_LIMIT: "{} ends by itself: {} is {:g} s",
    Why.TAKEN_AFTER_A_SIGNAL: "after a signal its write would be taken: {} of {} bytes are queued",
    Why.NO_HISTORY: "whether {} was full when its writer went to sleep: earlier samples of it",
    Why.MAY_RETRY: "{} has room, and its writer may try again by itself for 0.2 s",
    Why.COULD_END: "{} could end its wait for {} ({})",
    Why.NOT_KNOWN: "not known: {}",
    Why.SUSPENDED: "{}",
    Why.THREAD_IS_SUSPENDED: "{} is {}",
    Why.ONE_READING: "seen in only one of the two readings",
    Why.NO_STATE: "its state could not be read (/proc/T/status)",
    Why.NO_SWITCHES: "its context switches could not be read (/proc/T/status)",
    Why.NO_CALL: "its system call could not be read (/proc/T/syscall: CAP_SYS_PTRACE)",
    Why.RUNS: "it runs",
    Why.RAN: "it ran between the two readings",
    Why.NOT_ITS_CHOICE: "it is in state {}, which is no wait that it chose",
    Why.WAIT_CHANGED: "what it waits for changed between the two readings",
    Why.WAIT_NOT_KNOWN: "its wait is not known",
    Why.WAIT_NOT_UNDERSTOOD: "{}",
    Why.ENDS_SOON: "{} ends by itself in {:.1f} s",
    Why.LIMIT_NOT_DATED: "{} has a time limit of which the end is not known",
    Why.SIGNAL_OR_TIME: "{} waits for a signal or a time",
    Why.TIMERFD_NOT_DATED: "{} waits for a timerfd of which the time is not known",
    Why.WAITS: "{}: {}",
    Why.WAITS_UNKNOWN: "unknown",
    Why.CONDITION: "{} ({})",
    Why.NOTHING_KNOWN: "nothing that is known",
    Why.LIVE: "{}: {}",
    Why.UNREADABLE_TABLES: "unreadable fd tables: {}",
    Why.UNLISTED: "processes that /proc does not list (hidepid, or another PID namespace)",
    Why.NO_TABLE: "the descriptors of {} could not be read",
    Why.IN_FLIGHT: "{} descriptors that {} may have are in no table (scm_fds, io_uring)",
    Why.PRESUMED_DATE: "{} has slept since its call began: a wake-up in vain before cannot be seen (timer_list)",
    Why.HOUSEKEEPING: "{} is taken for housekeeping of {}",
    Why.TCP_GIVES_UP: "TCP itself may end the wait of {} after tcp_retries2: too few acknowledgments reach it",
    Why.RCVBUF_MAY_BE_RAISED: "the program of {} has set SO_RCVBUF, and may have raised it since a probe was answered",
    Why.SNDBUF_MAY_BE_CUT: "whether SO_SNDBUF of {} was set (SO_BUF_LOCK, Linux 5.15) or memory pressure has cut it",
    Why.NO_ULP: "what lies above {} in the kernel (TCP_ULP)",
    Why.ERROR_QUEUE: "{} may be woken by its error queue ({})",
    Why.ENDED_BY_ICMP: "an ICMP error ends every call on {} ({})",
    Why.NO_ERROR_QUEUE: "whether {} has an error queue (SO_TIMESTAMPING, IP_RECVERR)",
    Why.RCVBUF_MAY_BE_LOWERED: "the program of {} may have lowered SO_RCVBUF while a window update was lost",
    Why.HIDDEN: "{} {}",
    Why.CHILD_MAY_END: "child {} of {} may end, which a signal tells it (SIGCHLD)",
    Why.MAY_SHUT_DOWN: "{} has {} too, and may shut it down",
    Why.MAY_SIGNAL_EVENTFD: "{} has an io_uring, a context of io_setup(2) or a device, which may signal {}",
    Why.MAY_BE_A_THRESHOLD: "the kernel may signal {} for a memory threshold (cgroup version 1)",
    Why.ALARM_NOT_READ: "whether {} catches SIGALRM could not be read",
    Why.CATCHES_ALARM: "{} catches SIGALRM: an alarm cannot be seen",
    Why.ALARMS_HIDDEN: "{} would be ended by SIGALRM, and whether an alarm is pending is hidden (/proc/timer_list)",
    Why.ENDED_BY_ALARM: "{} would be ended by SIGALRM, and an alarm is pending on this machine (timer_list)",
    Why.TIMERS_NOT_READ: "the POSIX timers of {} could not be read",
    Why.POSIX_TIMERS: "{} has {} POSIX timers",
    Why.NEW_CONNECTION: "{} waits for a new connection too ({}): it holds until one comes, whenever it was opened",
    Why.TOLD: "{}",
    Why.NOT_LOOKED_FOR_HOLDERS: "who holds the two sockets: the processes were not looked at",
    Why.NO_SOCKET: "the {}'s socket (inet_diag)",
    Why.NEITHER_SOCKET: "the client's socket and the server's socket (inet_diag)",
    Why.HOLDER_UNREADABLE: (
        "who holds the {}'s socket: {} descriptor tables could not be read (CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH)"
    ),
    Why.BOTH_READINGS: "both readings of the threads around that of the sockets",
    Why.UNSEEN: "{}: {}",
    Why.NO_CONNECTION: "a connection: the client has not connected",
    Why.QUEUES_NOT_SEEN: "the {}'s socket: its queues are not seen",
    Why.NOT_YET_ANSWERED: "an answer to the {:,} bytes on their way to {}: too early to call it lost",
    Why.PROBE_NOT_DUE: (
        "a probe of our closed window, which must come within {:.1f} s if the program at {} has more to send"
    ),
    Why.BOTH_KERNELS_STUCK: (
        "both windows are closed: {:,} bytes are unread here, {:,} wait to be sent, and the peer's kernel probes ({})"
    ),
    Why.FAR_DOES_NOT_READ: (
        "the program at {} does not read: its window is closed, its kernel answers, and {:,} bytes wait here"
    ),
    Why.NEAR_DOES_NOT_READ: "{:,} bytes are unread at {}, whose window is closed; the peer has probed it {} times",
    Why.SYN_NOT_ANSWERED: "{} does not answer: the SYN was sent again {} times",
    Why.NOTHING_ANSWERED: "nothing comes back from {}: {:,} bytes wait, sent again {} times; last heard {:.1f} s ago",
    Why.SYN_UNDER_WAY: "an answer to the SYN on its way to {}: too early to call it lost",
    Why.FULL_SEGMENTS_LOST: "{}; no full segment ({} bytes) was ever acknowledged: an MTU on the path?",
    Why.TRY_PING: "ping -M do -s {} {}",
    Why.DOES_NOT_READ: "{} does not read: {:,} bytes are unread, and its window is closed",
    Why.THREAD_WAITS: "{} waits for {}",
    Why.NOT_ACCEPTED: "no program has accepted the connection at {}; {:,} bytes are unread there",
    Why.SEE_LISTENER: "see its accept queue, and who would accept: ss -tlnp 'sport = :{}'",
    Why.LOOK_THERE: "not seen: the program at {}; on that host: lab watch --once --port {} --port {}",
    Why.SEE_ITS_PROGRAM: "see what its program waits for: ss -tnp 'sport = :{}'",
    Why.LOST_OR_DROPPED: (
        "whether the network loses its acknowledgments, or its own closed window drops them (ACK starvation)"
    ),
    Why.ONE_DIRECTION_ONLY: "the segments of the {}: the capture holds one direction only",
    Why.TOO_FEW_PROBES: "more probes of the {}: too few probes to tell a persist timer from keep-alives",
    Why.NOT_YET_PROBED: "time: mutual stall for {:.1f} s, not yet probed by both",
    Why.MAY_STILL_READ: "whether a program could still read: on {}, `lab watch --port {}` tells",
    Why.COULD_HAVE_READ: (
        "whether a program could still have read: the connection is gone, and nothing can tell any more"
    ),
    Why.WAITS_FOR_ROOM: "the {}'s program waits for room to write",
    Why.HELD_BY_ZERO_WINDOW: "the {}'s socket holds data behind a zero window",
    Why.ADVERTISES_ZERO: "the {} advertises a zero window on the wire",
    Why.SENDS_REFUSED: "the client's sends are refused",
    Why.SERVER_BLOCKED: "the server's program is blocked in a call on it",
    Why.CLIENT_HOLDS_DATA: "the client's socket holds data",
    Why.ZERO_ON_WIRE: "a zero window stands on the wire",
    Why.HOLDS_NOTHING: "the {}'s socket holds nothing",
    Why.BLOCKED_IN_RECEIVE: "the {}'s program is blocked in a receive on it",
    Why.SENDS_NOTHING: "the {}'s socket has nothing to send",
    Why.NOT_BLOCKED_IN_SEND: "the {}'s program is not blocked in a send",
    Why.CLAIM_REFUTED: "for {}, not so: {}",
    Why.WRONG_BYTE: "the {} read a wrong byte: {}",
    Why.NOT_ITS_SOCKET: "the {} says that {} is its socket, and its program does not hold it",
    Why.NO_CONVERSATION: (
        "both programs say that all went well, and the wire shows no conversation of this client's to its end"
    ),
    Why.WIRE_CARRIED: "the wire carried {} bytes of the {}'s, and the client tells of {}",
    Why.SUM_VIOLATED: "{} {} is not {} = {}{}",
    Why.COUNTED_TWICE: (
        ": {} bytes are counted twice, the {} has received them and the {} keeps them as unacknowledged (the "
        "acknowledgment is on its way, or refused: ACK starvation)"
    ),
    Why.IN_HAND_NEGATIVE: "in_hand {}: the server has answered more than it has read",
    Why.SAID_OF_DUE: "the {} says it wrote {} and read {}, of {} and {}",
    Why.SAID_OF_SOCKET: "the {} says it wrote {} and read {}, by its socket {} and {}",
}
