"""Why something is so, as a value. Words are made of it in `lab.report.reasons`, and nothing decides by words."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Why(StrEnum):
    """All that can be said. The facts that belong to each stand in its sentence, in `lab.report.reasons`."""

    # The stacks.
    COUNTERS_DO_NOT_FIT = "counters-do-not-fit"
    NOT_YET_REFUSED = "not-yet-refused"
    ACKNOWLEDGMENT_UNDER_WAY = "acknowledgment-under-way"
    NO_RCV_WND = "no-rcv-wnd"
    NO_SND_WND = "no-snd-wnd"
    WINDOW_OPEN = "window-open"
    CLOSING_NOT_HEARD = "closing-not-heard"
    BACKLOG = "backlog"
    MAY_REOPEN = "may-reopen"
    QUEUE_FULL = "queue-full"
    TOO_MUCH_UNSENT = "too-much-unsent"
    NO_THIRD_FREE = "no-third-free"
    DATA_MAY_ARRIVE = "data-may-arrive"
    SNDBUF_MAY_GROW = "sndbuf-may-grow"
    MAY_HAVE_ROOM = "may-have-room"
    ACK_STARVED = "ack-starved"
    ONLY_REPEATS = "only-repeats"
    STATE_NOT_UNDERSTOOD = "state-not-understood"
    NO_USER_TIMEOUT = "no-user-timeout"
    USER_TIMEOUT = "user-timeout"
    KEEPALIVE_UNANSWERED = "keepalive-unanswered"
    ULP = "ulp"
    NO_ULP = "no-ulp"
    NOTHING_QUEUED = "nothing-queued"
    HAS_ROOM = "has-room"
    READABLE = "readable"
    PEER_HAS_ENDED = "peer-has-ended"
    NOTHING_TO_SEND = "nothing-to-send"
    CLOSED_FOR_GOOD = "closed-for-good"
    NEITHER_SENDS = "neither-sends"
    # Who could end a wait.
    ONLY_A_THREAD = "only-a-thread"
    NO_HOLDER_SEEN = "no-holder-seen"
    THREADS_NOT_SEEN = "threads-not-seen"
    IN_NO_CALL = "in-no-call"
    UNKNOWN_WAKER = "unknown-waker"
    NO_UNIX_PEER = "no-unix-peer"
    NO_RECORD = "no-record"
    PEER_NOT_FOUND = "peer-not-found"
    NOT_ONE_CONNECTION = "not-one-connection"
    NO_TIME_LIMIT_READ = "no-time-limit-read"
    SOCKET_TIME_LIMIT = "socket-time-limit"
    TAKEN_AFTER_A_SIGNAL = "taken-after-a-signal"
    NO_HISTORY = "no-history"
    MAY_RETRY = "may-retry"
    ERROR_QUEUE = "error-queue"
    NO_ERROR_QUEUE = "no-error-queue"
    ENDED_BY_ICMP = "ended-by-icmp"
    COULD_END = "could-end"
    NOT_KNOWN = "not-known"
    # A thread.
    SUSPENDED = "suspended"
    THREAD_IS_SUSPENDED = "thread-is-suspended"
    ONE_READING = "one-reading"
    NO_STATE = "no-state"
    NO_SWITCHES = "no-switches"
    NO_CALL = "no-call"
    RUNS = "runs"
    RAN = "ran"
    NOT_ITS_CHOICE = "not-its-choice"
    WAIT_CHANGED = "wait-changed"
    WAIT_NOT_KNOWN = "wait-not-known"
    WAIT_NOT_UNDERSTOOD = "wait-not-understood"
    ENDS_SOON = "ends-soon"
    LIMIT_NOT_DATED = "limit-not-dated"
    SIGNAL_OR_TIME = "signal-or-time"
    TIMERFD_NOT_DATED = "timerfd-not-dated"
    WAITS = "waits"
    WAITS_UNKNOWN = "waits-unknown"
    CONDITION = "condition"
    NOTHING_KNOWN = "nothing-known"
    LIVE = "live"
    # What a proof rests on and nobody could see.
    UNREADABLE_TABLES = "unreadable-tables"
    UNLISTED = "unlisted"
    NO_TABLE = "no-table"
    IN_FLIGHT = "in-flight"
    PRESUMED_DATE = "presumed-date"
    HOUSEKEEPING = "housekeeping"
    TCP_GIVES_UP = "tcp-gives-up"
    RCVBUF_MAY_BE_RAISED = "rcvbuf-may-be-raised"
    SNDBUF_MAY_BE_CUT = "sndbuf-may-be-cut"
    RCVBUF_MAY_BE_LOWERED = "rcvbuf-may-be-lowered"
    HIDDEN = "hidden"
    CHILD_MAY_END = "child-may-end"
    MAY_SHUT_DOWN = "may-shut-down"
    MAY_SIGNAL_EVENTFD = "may-signal-eventfd"
    MAY_BE_A_THRESHOLD = "may-be-a-threshold"
    ALARM_NOT_READ = "alarm-not-read"
    CATCHES_ALARM = "catches-alarm"
    ENDED_BY_ALARM = "ended-by-alarm"
    ALARMS_HIDDEN = "alarms-hidden"
    TIMERS_NOT_READ = "timers-not-read"
    POSIX_TIMERS = "posix-timers"
    NEW_CONNECTION = "new-connection"
    # What was not observed.
    TOLD = "told"
    NOT_LOOKED_FOR_HOLDERS = "not-looked-for-holders"
    NO_SOCKET = "no-socket"
    NEITHER_SOCKET = "neither-socket"
    HOLDER_UNREADABLE = "holder-unreadable"
    BOTH_READINGS = "both-readings"
    UNSEEN = "unseen"
    NO_CONNECTION = "no-connection"
    QUEUES_NOT_SEEN = "queues-not-seen"
    NOT_YET_ANSWERED = "not-yet-answered"
    PROBE_NOT_DUE = "probe-not-due"
    BOTH_KERNELS_STUCK = "both-kernels-stuck"
    FAR_DOES_NOT_READ = "far-does-not-read"
    NEAR_DOES_NOT_READ = "near-does-not-read"
    SYN_NOT_ANSWERED = "syn-not-answered"
    NOTHING_ANSWERED = "nothing-answered"
    SYN_UNDER_WAY = "syn-under-way"
    FULL_SEGMENTS_LOST = "full-segments-lost"
    TRY_PING = "try-ping"
    DOES_NOT_READ = "does-not-read"
    THREAD_WAITS = "thread-waits"
    NOT_ACCEPTED = "not-accepted"
    SEE_LISTENER = "see-listener"
    LOOK_THERE = "look-there"
    SEE_ITS_PROGRAM = "see-its-program"
    LOST_OR_DROPPED = "lost-or-dropped"
    # What packets alone do not show.
    ONE_DIRECTION_ONLY = "one-direction-only"
    TOO_FEW_PROBES = "too-few-probes"
    NOT_YET_PROBED = "not-yet-probed"
    MAY_STILL_READ = "may-still-read"
    COULD_HAVE_READ = "could-have-read"
    # Claims of an outcome.
    WAITS_FOR_ROOM = "waits-for-room"
    HELD_BY_ZERO_WINDOW = "held-by-zero-window"
    ADVERTISES_ZERO = "advertises-zero"
    SENDS_REFUSED = "sends-refused"
    SERVER_BLOCKED = "server-blocked"
    CLIENT_HOLDS_DATA = "client-holds-data"
    ZERO_ON_WIRE = "zero-on-wire"
    HOLDS_NOTHING = "holds-nothing"
    BLOCKED_IN_RECEIVE = "blocked-in-receive"
    SENDS_NOTHING = "sends-nothing"
    NOT_BLOCKED_IN_SEND = "not-blocked-in-send"
    CLAIM_REFUTED = "claim-refuted"
    # Contradictions.
    WRONG_BYTE = "wrong-byte"
    NOT_ITS_SOCKET = "not-its-socket"
    NO_CONVERSATION = "no-conversation"
    WIRE_CARRIED = "wire-carried"
    SUM_VIOLATED = "sum-violated"
    COUNTED_TWICE = "counted-twice"
    IN_HAND_NEGATIVE = "in-hand-negative"
    SAID_OF_DUE = "said-of-due"
    SAID_OF_SOCKET = "said-of-socket"


Fact: TypeAlias = "str | int | float | Reason | tuple[Reason, ...]"


@dataclass(frozen=True, slots=True)
class Reason:
    """One sentence: which, and the facts in it, in their order. A fact may be a reason itself."""

    why: Why
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Qualifier:
    """What a proof rests on and nobody could see: the proof is true but for it."""

    reason: Reason
    premise: str
    """The id in `lab.proof.premises` that it limits."""


def because(why: Why, *facts: Fact) -> Reason:
    return Reason(why, facts)


def quoted(text: str) -> Reason:
    """What an observer has said in its own words."""
    return Reason(Why.TOLD, (text,))
