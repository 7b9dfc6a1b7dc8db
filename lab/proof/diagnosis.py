"""What a standstill that is no deadlock comes from: who would have to act, what it waits for, and what to do next."""

from collections.abc import Callable

from lab.evidence import SocketSample
from lab.proof.connection_view import ConnectionView
from lab.proof.one_end import silence
from lab.proof.stack import is_silent
from lab.proof.stack.ruling import end_of
from lab.reason import Why, because
from lab.spec import Outcome, Role
from lab.tcp.address import port
from lab.verdict import Diagnosis


def diagnosis(view: ConnectionView, outcome: Outcome) -> Diagnosis | None:
    """Of an outcome that was read from both sockets; None where there is nothing to say."""
    says = DIAGNOSES.get(outcome)
    return says(view) if says else None


def _blackhole(view: ConnectionView) -> Diagnosis | None:
    silent = next((end for role in Role if (end := view.socket(role)) and is_silent(end)), None)
    return Diagnosis(*silence(silent)) if silent else None


def _one_sided(view: ConnectionView) -> Diagnosis | None:
    """Who holds the end whose window is closed, and what each of its threads waits for."""
    role = next((role for role in Role if view.blocked_by_zero_window(role)), None)
    reader = view.socket(role.peer) if role else None
    if reader is None:
        return None
    if _is_unaccepted(reader):
        return _unaccepted(view)
    waits = view.analysis.waits(reader.inode) if view.analysis else ()
    return Diagnosis(because(Why.DOES_NOT_READ, end_of(reader), reader.rqueue), (), waits)


def _unaccepted(view: ConnectionView) -> Diagnosis | None:
    """An end that no program has yet: its connection stands in the queue of a listener."""
    end = next((end for role in Role if (end := view.socket(role)) and _is_unaccepted(end)), None)
    if end is None:
        return None
    return Diagnosis(because(Why.NOT_ACCEPTED, end.local, end.rqueue), (because(Why.SEE_LISTENER, port(end.local)),))


def _is_unaccepted(end: SocketSample) -> bool:
    return end.inode == 0 and end.state == "ESTABLISHED"


DIAGNOSES: dict[Outcome, Callable[[ConnectionView], Diagnosis | None]] = {
    Outcome.BLACKHOLE: _blackhole,
    Outcome.ONE_SIDED_STALL: _one_sided,
    Outcome.IDLE: _unaccepted,
}
