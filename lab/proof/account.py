"""Where every payload byte of a frozen pair lies, to the byte: two programs, four buffers, and two sums as a check.

    client_accepted  = server_processed + server_receive_queue + client_send_queue
    server_processed = in_hand + server_send_queue + client_receive_queue + client_processed

No term is computed from the others: the left sides come from the client's socket and from the server's program, the
right sides from the other ends. The kernel counts in sequence numbers, so SYN and FIN have to be taken off:

* `wqueue` is write_seq - snd_una. A FIN that is sent and not acknowledged counts 1 in it, an acknowledged one counts
  1 in `bytes_acked`, and so does the SYN of the side that connected.
* `rqueue` is rcv_nxt - copied_seq. A received FIN counts 1 in it until the program has read up to it.

The sums hold when nothing is in motion. The records are taken one after the other, so a moving pair misses them.
"""

from dataclasses import asdict, replace

from lab.evidence import Evidence, Snapshot, SocketSample
from lab.reason import Reason, Why, because
from lab.spec import Answer, Pair, Role
from lab.verdict import Account

FIN_UNACKNOWLEDGED = frozenset({"FIN-WAIT-1", "CLOSING", "LAST-ACK"})
FIN_ACKNOWLEDGED = frozenset({"FIN-WAIT-2"})
FIN_RECEIVED = frozenset({"CLOSE-WAIT", "CLOSING", "LAST-ACK"})
COUNTED = frozenset({"ESTABLISHED"}) | FIN_UNACKNOWLEDGED | FIN_ACKNOWLEDGED | FIN_RECEIVED
"""States whose record has counters. TIME-WAIT is a mini-socket without any, and so is FIN-WAIT-2 under its timer."""


def account(evidence: Evidence) -> Account:
    """Of the last snapshot that has both sockets. Where one was never seen: the queues of the other."""
    snapshot = last_with_both(evidence)
    client, server = snapshot.sockets if snapshot else (None, None)
    if snapshot is None or client is None or server is None:
        return _of_one_end(evidence)
    processed = snapshot.progress.server.received if snapshot.progress.server else None
    answers = evidence.spec is not None and evidence.spec.scenario.load.answer is not Answer.NOTHING
    return Account(
        client_accepted=_acknowledged(client) + _send_queue(client),
        client_send_queue=_send_queue(client),
        server_receive_queue=_receive_queue(server),
        server_processed=processed,
        in_hand=processed - _acknowledged(server) - _send_queue(server) if answers and processed is not None else None,
        server_send_queue=_send_queue(server),
        client_receive_queue=_receive_queue(client),
        client_processed=snapshot.progress.client.received if snapshot.progress.client else None,
    )


def _of_one_end(evidence: Evidence) -> Account:
    sockets = evidence.snapshots[-1].sockets if evidence.snapshots and evidence.spec is None else Pair(None, None)
    client, server = (socket if socket and _is_counted(socket) else None for socket in sockets)
    return Account(
        client_send_queue=_send_queue(client) if client else None,
        server_receive_queue=_receive_queue(server) if server else None,
        server_send_queue=_send_queue(server) if server else None,
        client_receive_queue=_receive_queue(client) if client else None,
    )


def fullest(evidence: Evidence) -> Account:
    """Where the payload lay when the most of it was under way. The pair may have moved then: the sums need not hold."""
    accounts = [_while_moving(evidence, snapshot) for snapshot in evidence.snapshots]
    return max(accounts, key=_under_way, default=Account())


def _while_moving(evidence: Evidence, snapshot: Snapshot) -> Account:
    """The counters are read after the sockets, so what the server has in hand is bounded by its own two counters."""
    seen = account(replace(evidence, snapshots=(snapshot,)))
    if seen.in_hand is None or snapshot.progress.server is None:
        return seen
    own = snapshot.progress.server.received - snapshot.progress.server.sent
    return replace(seen, in_hand=max(0, min(seen.in_hand, own)))


def _under_way(account: Account) -> int:
    return sum(
        part or 0
        for part in (
            account.client_send_queue,
            account.server_receive_queue,
            account.in_hand,
            account.server_send_queue,
            account.client_receive_queue,
        )
    )


def last_with_both(evidence: Evidence) -> Snapshot | None:
    """The last snapshot in which the kernel still had counters for both ends."""
    whole = (shot for shot in reversed(evidence.snapshots) if all(_is_counted(socket) for socket in shot.sockets))
    return next(whole, None)


def imbalances(account: Account, snapshot: Snapshot | None = None, *, starved: bool = False) -> tuple[Reason, ...]:
    """Each sum that is violated, with its figures; a sum with an unknown term is not checked.

    With the snapshot of the account, a surplus is explained if it is exactly what the receiver has received and the
    sender still keeps as unacknowledged. Such bytes are counted at both ends: their acknowledgment is on its way, or
    the sender drops it for good (ACK starvation). For a `starved` pair that is no violation.
    """
    figures: dict[str, int | None] = asdict(account)
    found = []
    for sender, (total, parts) in SUMS.items():
        terms = [figures[part] for part in parts]
        left, right = figures[total], sum(term for term in terms if term is not None)
        if left is None or None in terms or left == right:
            continue
        explained = _explained(right - left, sender, snapshot)
        if starved and explained:
            continue
        sum_of = " + ".join(f"{part} {term}" for part, term in zip(parts, terms, strict=True))
        found.append(because(Why.SUM_VIOLATED, total, left, sum_of, right, explained or ""))
    if account.in_hand is not None and account.in_hand < 0:
        found.append(because(Why.IN_HAND_NEGATIVE, account.in_hand))
    return tuple(found)


def refuted_ends(evidence: Evidence) -> tuple[Reason, ...]:
    """Where a program reports a good end and is refuted: by the bytes that it had to move, or by its socket later."""
    if evidence.spec is None:
        return ()  # only the lab's own programs say how they ended
    load, found = evidence.spec.scenario.load, []
    back = 0 if load.answer is Answer.NOTHING else load.payload
    for end in filter(None, evidence.ended):
        due = (load.payload, back) if end.role is Role.CLIENT else (end.sent, load.payload)
        if (end.sent, end.received) != due:
            found.append(because(Why.SAID_OF_DUE, end.role, end.sent, end.received, *due))
        socket = evidence.snapshots[-1].sockets[end.role] if evidence.snapshots else None
        if socket is None or not _is_counted(socket) or socket.time_ns < end.time_ns:
            continue
        wrote = _acknowledged(socket) + _send_queue(socket)
        read = _received(socket) - _receive_queue(socket)
        if wrote < end.sent or read < end.received:
            found.append(because(Why.SAID_OF_SOCKET, end.role, end.sent, end.received, wrote, read))
    return tuple(found)


SUMS = {
    Role.CLIENT: ("client_accepted", ("server_processed", "server_receive_queue", "client_send_queue")),
    Role.SERVER: ("server_processed", ("in_hand", "server_send_queue", "client_receive_queue", "client_processed")),
}
"""For each sender: the total of its bytes, and the places where they must be."""


def _explained(surplus: int, sender: Role, snapshot: Snapshot | None) -> Reason | None:
    source = snapshot.sockets[sender] if snapshot else None
    target = snapshot.sockets[sender.peer] if snapshot else None
    if source is None or target is None or not 0 < surplus == _received(target) - _acknowledged(source):
        return None
    return because(Why.COUNTED_TWICE, surplus, sender.peer, sender)


def _is_counted(socket: SocketSample | None) -> bool:
    return socket is not None and socket.state in COUNTED and socket.timer != "timewait"


def _acknowledged(socket: SocketSample) -> int:
    syn = socket.role is Role.CLIENT
    return socket.bytes_acked - syn - (socket.state in FIN_ACKNOWLEDGED)


def _send_queue(socket: SocketSample) -> int:
    return socket.wqueue - (socket.state in FIN_UNACKNOWLEDGED)


def _received(socket: SocketSample) -> int:
    return socket.bytes_received - (socket.state in FIN_RECEIVED)


def _receive_queue(socket: SocketSample) -> int:
    """A received FIN is the last thing in the queue: unless all is read, it is still in there."""
    return max(0, socket.rqueue - (socket.state in FIN_RECEIVED))
