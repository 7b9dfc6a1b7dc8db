"""Could the two stacks alone, without any program, let a blocked writer go on, or bring a waiting reader something?

A `no` is one premise of a proof, so it is given only where the rules of the receiver's and the sender's stack exclude
every movement; anything else is `yes` (with what may move) or `unknown` (with the fact that is missing).

S is the sender, P its peer. S's writer goes on when its send queue has room, and there are two tests for that:
* Segments that arrive end in sk_stream_write_space(), which wakes only if a third is free (sk_stream_is_writeable).
* Arriving data wakes every sleeper, and so does a signal or a time limit of its own; then `wmem_queued < sndbuf` is
  enough. So it is for a write that has gone to sleep while there was room (`Looks.may_retry`). A squeezed
  client stood at 5568 of 8192 for good, and PostgreSQL at 7256 until its own timer retried.
So the first test may be used only while no data can arrive, and by nobody who may be woken otherwise (`full`).

P's window stays 0 without a read if __tcp_select_window() cannot come to anything else, or one exchange has shown it.

Outside of this model, as any outside intervention: sysctls or socket options that somebody else changes later, global
TCP memory pressure (tcp_mem), sockets fed by BPF. What kTLS or MPTCP would do is not known.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from lab.evidence import SocketSample
from lab.proof.send_buffer import BBR_PROBE_RTT_CWND, KernelTraits, is_fixed, largest_sndbuf

OPEN_STATES = frozenset({"ESTABLISHED", "CLOSE-WAIT"})
EXCHANGE_MS = 100
"""An acknowledgment this long after the last data, and a whole RTO after it, answers a probe."""

LEAST_SILENT = 2
"""Probes, or retransmissions, without an answer."""

JIFFIES_MS = 10
"""Rounding of two ages at HZ=100."""

LARGEST_GSO = 1 << 19
"""Bytes: no skb is larger (GSO_MAX_SIZE), so pacing waits no longer than it takes to send so much."""

ROUND_ONE_PACKET = 8192
"""Bytes that one packet may take of a receive buffer beside its payload: the pages that a driver fills it into."""

LEAST_OVERHEAD = 640
"""Bytes that a packet takes of a send buffer beside its payload, at least: 832 on Linux 6.18."""

KNOWN_CONGESTION = frozenset({"cubic", "reno", "bbr"})
"""What one more acknowledged packet does to cwnd is known of these."""

RISE = 2
"""Segments: at most so far cwnd rises for one more packet (tcp_slow_start(), tcp_cong_avoid_ai(), bbr_set_cwnd())."""


class Possible(StrEnum):
    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


class Rule(StrEnum):
    """What excludes a movement."""

    CLOSED = "the peer's window is closed for good"
    SILLY_WINDOW = "the peer takes one small segment more, and nothing after it"
    CAPACITY = "more is queued than the peer could ever take without a read"
    ACK_STARVED = "the sender drops every acknowledgment of the peer"
    EMPTY = "nothing is on its way"


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether the stacks alone can do it, and why, in words."""

    possible: Possible
    why: str
    rule: Rule | None = None
    queue_full: bool = False
    """Not even a write tried again after a signal or a time limit would be taken: `wmem_queued >= sndbuf`."""
    tcp_gives_up: bool = False
    """TCP gives the connection up after tcp_retries2 retransmissions (15, about a quarter of an hour)."""
    assumption: str | None = None
    """What it rests on, and nobody can see."""


UNKNOWN_KERNEL = KernelTraits()


def could_write(sender: SocketSample, peer: SocketSample, stack: KernelTraits = UNKNOWN_KERNEL) -> Ruling:
    """Whether the stacks could let a writer on `sender` go on."""
    hindrance = _ends(sender, peer)
    if hindrance:
        return hindrance
    if sender.wqueue == 0:
        return _yes(f"{_end(sender)} has nothing queued")
    if _has_room(sender.wmem_queued, sender.sndbuf):
        return _yes(f"{_end(sender)} has room: {sender.wmem_queued} of {sender.sndbuf} bytes are queued")
    quiet = could_receive_data(sender, peer, stack)
    opens = _opens(sender, peer)
    if opens is None:
        most = largest_sndbuf(sender, peer, stack)
        found = _sealed(sender, _least_queued(sender), quiet, most, Rule.CLOSED)
        return replace(found, tcp_gives_up=is_silent(sender) or stack.gives_up, assumption=_unless_raised(sender, peer))
    if stack.drops_beyond_window and _starved(sender, peer):
        return _starving(sender)
    found = _after_a_fragment(sender, peer, quiet, stack) or _out_of_capacity(sender, peer, quiet, stack) or opens
    return replace(found, tcp_gives_up=stack.gives_up)


def could_read(receiver: SocketSample, peer: SocketSample, stack: KernelTraits = UNKNOWN_KERNEL) -> Ruling:
    """Whether the stacks could make `receiver` readable, or whether it is."""
    if receiver.rqueue > 0:
        return _yes(f"{_end(receiver)} is readable: {receiver.rqueue} bytes wait")
    if receiver.state == "CLOSE-WAIT":
        return _yes(f"{_end(receiver)} is readable: its peer has ended its side")
    return could_receive_data(receiver, peer, stack)


def could_receive_data(receiver: SocketSample, peer: SocketSample, stack: KernelTraits = UNKNOWN_KERNEL) -> Ruling:
    """Whether the stacks could bring new data, whatever is already there: what an edge-triggered reader waits for."""
    hindrance = _ends(receiver, peer)
    if hindrance:
        return hindrance
    if peer.wqueue == 0:
        return Ruling(Possible.NO, f"{_end(peer)} has nothing to send", Rule.EMPTY)
    opens = _opens(peer, receiver)
    if opens and stack.drops_beyond_window and _starved(peer, receiver) and _repeats_itself(peer, receiver):
        why = f"{_end(peer)} only repeats what {_end(receiver)} has: {Rule.ACK_STARVED}"
        return Ruling(Possible.NO, why, Rule.ACK_STARVED, tcp_gives_up=True)
    why = f"{_end(receiver)} has closed its window for good"
    return opens or Ruling(Possible.NO, why, Rule.CLOSED, assumption=_unless_raised(peer, receiver))


def could_signal_writable(sender: SocketSample, peer: SocketSample, stack: KernelTraits = UNKNOWN_KERNEL) -> Ruling:
    """Whether the stacks could announce room once more: what an edge-triggered writer waits for.

    sk_write_space() is called for arriving segments only, and none comes to an end when neither has anything to send.
    """
    hindrance = _ends(sender, peer)
    if hindrance:
        return hindrance
    if sender.wqueue == 0 and peer.wqueue == 0:
        return Ruling(Possible.NO, f"{_end(sender)}: neither end has anything to send", Rule.EMPTY)
    return could_write(sender, peer, stack)


def is_silent(sender: SocketSample) -> bool:
    """Whether its last two probes, or its last retransmission, had no answer of the peer's host.

    One probe may be left out by a living peer (rate limits). Without data the same counter is of keep-alives.
    """
    if sender.timer == "on":
        return sender.backoff >= LEAST_SILENT and sender.last_ack_recv_ms * 1000 > sender.rto_us
    return sender.wqueue > 0 and sender.probes >= LEAST_SILENT


def _opens(sender: SocketSample, peer: SocketSample) -> Ruling | None:
    """Why data may still leave the sender's queue without a read at the peer. None: it cannot."""
    if peer.rcv_wnd is None:
        return _unknown(f"tcpi_rcv_wnd of {_end(peer)} (Linux 6.2)")
    if sender.snd_wnd is None:
        return _unknown(f"tcpi_snd_wnd of {_end(sender)} (Linux 5.4)")
    if peer.rcv_wnd > 0:
        return _yes(f"{_end(peer)} offers a window of {peer.rcv_wnd} bytes")
    if sender.snd_wnd > 0:
        return _yes(f"{_end(sender)} has not yet heard that its peer's window is closed")
    if sender.backlog or peer.backlog:
        return _yes(f"segments wait in the backlog between {_end(sender)} and {_end(peer)}")
    return _in_motion(sender, peer) or _reopens(sender, peer)


def _in_motion(sender: SocketSample, peer: SocketSample) -> Ruling | None:
    """Data on its way, or received with its acknowledgment on the way. None: there is none, or it was refused."""
    flight = sender.wqueue - sender.notsent_bytes
    if flight == 0 and sender.unacked == 0:
        return None
    if flight <= 0:
        return _yes(f"{_end(sender)} is in motion: its counters do not fit each other")
    if sender.backoff == 0:
        return _yes(f"{flight} bytes of {_end(sender)} are in flight and not yet refused")
    low, high = _received_unacked(sender, peer)
    # A packet of several bytes is received whole or not at all: tcp_data_queue() trims no tail.
    if high > 0 and not (low == 0 and sender.unacked == 1 and flight > 1):
        return _yes(f"{_end(peer)} may have received {high} bytes whose acknowledgment is on its way")
    return None


def _received_unacked(sender: SocketSample, peer: SocketSample) -> tuple[int, int]:
    """Least and most bytes that the peer has received and the sender does not yet know of.

    `bytes_acked` of the end that connected counts its SYN, so its difference is 1 too small. Which end that is shows
    where one of the two cannot be it; else either may be.
    """
    there = peer.bytes_received - sender.bytes_acked
    back = sender.bytes_received - peer.bytes_acked
    if there < 0:
        return 0, 0
    if not _may_have_arrived(peer, back):  # the peer has connected
        return there, there
    if not _may_have_arrived(peer, back + 1):  # the sender has
        return there + 1, there + 1
    return there, there + 1


def _may_have_arrived(sender: SocketSample, count: int) -> bool:
    """Whether so many bytes of what is in flight may have arrived: a packet does as a whole, or not at all."""
    flight = sender.wqueue - sender.notsent_bytes
    if sender.unacked == 1:
        return count in (0, flight)
    return 0 <= count <= flight


def _reopens(sender: SocketSample, peer: SocketSample) -> Ruling | None:
    """Why the peer's next acknowledgment might offer a window although nobody read. None: it cannot.

    One answered probe shows it, or the closing of the window, if looks have seen it (`Looks.closed`).
    What has been shown so holds no longer once the program has raised its receive buffer (SO_RCVBUF, SO_RCVLOWAT),
    or has read on after shutdown(SHUT_RD), which tells nobody (tcp_cleanup_rbuf()). Then more is free than explains it,
    as long as it is known which share of the buffer makes a window.
    """
    if _stays_closed(peer):
        return None
    answered_ms = sender.last_data_sent_ms - sender.last_ack_recv_ms
    answered = sender.backoff >= 1 and answered_ms >= max(EXCHANGE_MS, sender.rto_us // 1000 - JIFFIES_MS)
    shown = (answered and (_has_a_ratio(peer) or _is_as_it_was(sender, peer))) or _was_seen_to_close(peer)
    if shown and _is_below_the_clamp(peer) and _is_too_little(peer):
        return None
    return _yes(f"{_end(peer)} has {_free(peer)} bytes free and may open its window when it answers a probe")


def _unless_raised(sender: SocketSample, peer: SocketSample) -> str | None:
    """The size that a program has set before it connected leaves the same traces as one that it has set since."""
    if _stays_closed(peer) or _is_as_it_was(sender, peer) or _was_seen_to_close(peer) or not peer.rcvbuf_locked:
        return None
    return f"the program of {_end(peer)} has set SO_RCVBUF, and may have raised it since a probe was answered"


def _is_as_it_was(sender: SocketSample, peer: SocketSample) -> bool:
    """Whether looks have seen the peer's buffer unchanged since its last answer."""
    return peer.looks is not None and peer.looks.unchanged_ms > sender.last_ack_recv_ms + JIFFIES_MS


def _was_seen_to_close(receiver: SocketSample) -> bool:
    return receiver.looks is not None and receiver.looks.closed


def _has_a_ratio(receiver: SocketSample) -> bool:
    """Whether its largest window is its buffer by one of the 255 ratios that the kernel knows (tcp_win_from_space()).

    SO_RCVBUF on a connection changes the buffer alone: then it hardly ever is one, and may be by accident.
    """
    clamp, rcvbuf = receiver.window_clamp, receiver.rcvbuf
    if clamp is None or receiver.rcvbuf_locked is None:
        return False
    ratio = -(-(clamp << 8) // rcvbuf)
    return ratio * rcvbuf >> 8 == clamp


def _stays_closed(receiver: SocketSample) -> bool:
    """The two tests of __tcp_select_window(), made so strict that no hidden number can turn them.

    The kernel multiplies both sides by the same ratio (scaling_ratio) and rounds; hence 17 for its 16. Its mss is at
    most the full window, which window_clamp keeps above a third of the buffer; hence the quarter.
    """
    free = _free(receiver)
    short = free < min(receiver.rcv_mss, receiver.rcvbuf // 4) or 17 * free < receiver.rcvbuf
    return short and _is_below_the_clamp(receiver)


def _is_below_the_clamp(receiver: SocketSample) -> bool:
    """Whether __tcp_select_window() makes its tests at all: it does below half of TCP_WINDOW_CLAMP.

    What keeps a window closed is less than a sixteenth of the buffer, or than a segment, rounded up to its unit.
    """
    clamp, unit = receiver.window_clamp, 1 << (receiver.rcv_wscale or 0)
    if clamp is None:
        return True
    most = min(_free(receiver), max(receiver.rcvbuf // 16, receiver.rcv_mss) + unit)
    return 2 * most < clamp and receiver.rcv_mss <= clamp


def _is_too_little(receiver: SocketSample) -> bool:
    """Whether what is free comes to no window, by the share of the buffer that the largest window is.

    That is scaling_ratio while the kernel sets both, and less of it once the program has raised the buffer.
    """
    clamp, unit = receiver.window_clamp, 1 << (receiver.rcv_wscale or 0)
    if clamp is None:
        return True
    window = (_free(receiver) * clamp // receiver.rcvbuf - 1) // unit * unit
    return window < max(clamp // 16, receiver.rcv_mss)


def _free(receiver: SocketSample) -> int:
    return receiver.rcvbuf - receiver.rmem_alloc


def _sealed(sender: SocketSample, queued: int, quiet: Ruling, most: int, rule: Rule) -> Ruling:
    """Judges a queue that cannot become less than `queued` against the largest send buffer that it may ever get."""
    words = f"{_end(sender)}: {rule}; {queued} bytes queued, send buffer at most {most}"
    if queued >= most:
        return Ruling(Possible.NO, words, rule, queue_full=True)
    if quiet.possible is Possible.NO and not _has_room(queued, most):
        return Ruling(Possible.NO, f"{words}, less than a third free", rule)
    if quiet.possible is not Possible.NO:
        return Ruling(quiet.possible, f"data may arrive at {_end(sender)} and wake its writer: {quiet.why}")
    if most > sender.sndbuf:
        return _yes(f"the send buffer of {_end(sender)} may grow from {sender.sndbuf} to {most} bytes")
    return _yes(f"{_end(sender)} may come to have room: {queued} of {sender.wmem_queued} bytes are sure to stay queued")


def _least_queued(sender: SocketSample) -> int:
    """What the queue cannot come below while nothing is acknowledged: its packets may be merged (tcp_grow_skb()).

    A push merges what it can, unless pacing puts it off, or packets in flight leave the window of congestion no room.
    """
    overhead = sender.wmem_queued - sender.wqueue
    if overhead < 2 * LEAST_OVERHEAD or (sender.unacked == 0 and _pacing_is_over(sender)):
        return sender.wmem_queued
    return sender.wqueue + LEAST_OVERHEAD


def _has_room(queued: int, sndbuf: int) -> bool:
    """sk_stream_is_writeable(): what is free is at least half of what is queued."""
    return queued < sndbuf and sndbuf - queued >= queued >> 1


def _after_a_fragment(sender: SocketSample, peer: SocketSample, quiet: Ruling, stack: KernelTraits) -> Ruling | None:
    """The silly-window rule: even after the one small segment that fits, too much remains."""
    if not _only_a_fragment_fits(sender, peer):
        return None
    left = sender.wqueue - (peer.rcv_wnd or 0)
    found = _sealed(sender, left, quiet, largest_sndbuf(sender, peer, stack, RISE), Rule.SILLY_WINDOW)
    return found if found.possible is Possible.NO else None


def _only_a_fragment_fits(sender: SocketSample, peer: SocketSample) -> bool:
    """Whether the window takes one segment more, less than a full one, and then stays closed.

    That segment waits for the persist timer: sender's silly window avoidance (RFC 9293, 3.8.6.2.1).

    The head of the queue does not fit: tcp_write_xmit() would have sent it, were it not for pacing, which is over. So
    tcp_write_wakeup() sends exactly what fits, in one packet. The peer takes it without tcp_prune_queue(), which alone
    could make room without a read; and what was too little to offer is less then.
    """
    if sender.snd_wnd is None or sender.snd_wnd != peer.rcv_wnd or not 0 < sender.snd_wnd < sender.snd_mss:
        return False
    unsent = sender.timer == "persist" and sender.unacked == 0 and sender.notsent_bytes == sender.wqueue
    free = _free(peer)
    return (
        unsent
        and not sender.backlog
        and not peer.backlog
        and _pacing_is_over(sender)
        and sender.ca_state == 0
        and sender.congestion in KNOWN_CONGESTION
        and sender.snd_cwnd > BBR_PROBE_RTT_CWND
        and _received_unacked(sender, peer)[0] == 0
        and free >= sender.snd_wnd + ROUND_ONE_PACKET
        and 17 * free < peer.rcvbuf
        and _is_below_the_clamp(peer)
    )


def _pacing_is_over(sender: SocketSample) -> bool:
    if not sender.pacing_rate:
        return False
    return sender.last_data_sent_ms - JIFFIES_MS > LARGEST_GSO * 1000 / sender.pacing_rate


def _out_of_capacity(sender: SocketSample, peer: SocketSample, quiet: Ruling, stack: KernelTraits) -> Ruling | None:
    """The open-window rule: even if the peer took all that it could without a read, too much would remain.

    A byte of payload costs at least a byte of receive buffer, also after tcp_collapse(), so the peer can take its
    offered window and what its queue's payload leaves of the buffer. While data moves cwnd and reordering may grow, so
    only tcp_wmem[2], or a buffer that cannot grow, bounds the send buffer.
    """
    if peer.rcv_wnd is None:
        return None
    wmem_max = stack.largest(sender)
    most = sender.sndbuf if is_fixed(sender) else wmem_max and max(sender.sndbuf, wmem_max)
    taken = peer.rcv_wnd + max(0, peer.rcvbuf - peer.rqueue) + _received_unacked(sender, peer)[1]
    left = sender.wqueue - taken
    if most is None or left <= 0:
        return None
    found = _sealed(sender, left, quiet, most, Rule.CAPACITY)
    return found if found.possible is Possible.NO else None


def _starved(sender: SocketSample, peer: SocketSample) -> bool:
    """Whether nothing that the peer sends can reach the sender: it lies beyond the sender's closed window.

    tcp_acceptable_seq() numbers the peer's pure acknowledgments with its snd_nxt, if that is less than one unit of its
    own window scale beyond the sender's window; tcp_sequence() drops them there, and the peer's data as well.
    """
    if sender.rcv_wnd != 0 or sender.rqueue == 0 or sender.backlog or peer.backlog or peer.rcv_wscale is None:
        return False
    flight = peer.wqueue - peer.notsent_bytes
    _, high = _received_unacked(peer, sender)
    return _stays_closed(sender) and flight - high >= 1 and flight < 1 << peer.rcv_wscale and sender.backoff >= 1


def _repeats_itself(sender: SocketSample, peer: SocketSample) -> bool:
    """Whether a starved sender's retransmissions, or probes, are all old to its peer.

    Without an acknowledgment it repeats the head of its queue only, and its cwnd of 1 lets nothing new out.
    """
    flight = sender.wqueue - sender.notsent_bytes
    return 0 < flight <= _received_unacked(sender, peer)[0] or (flight == 0 and sender.snd_wnd == 0)


def _starving(sender: SocketSample) -> Ruling:
    words = f"{_end(sender)}: {Rule.ACK_STARVED}; {sender.wmem_queued} of {sender.sndbuf} bytes queued"
    full = _least_queued(sender) >= sender.sndbuf
    return Ruling(Possible.NO, words, Rule.ACK_STARVED, queue_full=full, tcp_gives_up=True)


def _ends(one: SocketSample, other: SocketSample) -> Ruling | None:
    """Why the connection itself may end, or is not one that the rules are about."""
    for end in (one, other):
        if end.state not in OPEN_STATES:
            return _unknown(f"{_end(end)} is {end.state}: only ESTABLISHED and CLOSE-WAIT are understood")
        if end.wqueue and end.user_timeout_ms is None:
            return _unknown(f"TCP_USER_TIMEOUT of {_end(end)}")
        if end.wqueue and end.user_timeout_ms:
            return _yes(f"the kernel ends {_end(end)} by itself: TCP_USER_TIMEOUT {end.user_timeout_ms} ms")
        if end.ulp:
            return _unknown(f"what {end.ulp} above {_end(end)} moves by itself")
    return None


def are_one_connection(one: SocketSample, other: SocketSample) -> bool:
    """Whether each has received what the other knows of, and of the rest no more than is in flight.

    Else they are ends of two connections with the same addresses: networks that overlap, or a proxy that connects by
    its client's address (TPROXY). A SYN is counted as acknowledged.
    """
    return all(
        -1 <= there.bytes_received - here.bytes_acked <= here.wqueue - here.notsent_bytes
        for here, there in ((one, other), (other, one))
    )


def _end(socket: SocketSample) -> str:
    return f"{socket.local} (socket:{socket.inode})"


def _yes(why: str) -> Ruling:
    return Ruling(Possible.YES, why)


def _unknown(why: str) -> Ruling:
    return Ruling(Possible.UNKNOWN, why)
