"""Only sends that were refused while nothing moved count as tried in vain."""

from dataclasses import fields, replace

from lab.evidence import Progress, Snapshot, SocketSample
from lab.proof.livelock import futile_sends
from lab.spec import Pair, Role


def socket(role: Role, **known: int) -> SocketSample:
    """A sample of zeros, but for what is known."""
    zeros = {field.name: "" if field.type is str else 0 for field in fields(SocketSample)}
    return SocketSample(**(zeros | {"role": role} | known))  # type: ignore[arg-type]


def snapshot(number: int, refused: int, moved: int) -> Snapshot:
    sockets: Pair[SocketSample | None] = Pair(socket(Role.CLIENT, bytes_acked=moved), socket(Role.SERVER))
    progress = [Progress(number, role, moved, 0, number, refused if role is Role.CLIENT else 0) for role in Role]
    return Snapshot(number, (), sockets, (), Pair(*progress))


def test_refused_sends_count_while_nothing_moves() -> None:
    shots = [snapshot(1, 0, 100), snapshot(2, 50, 200), snapshot(3, 60, 300), snapshot(4, 900, 300)]
    assert futile_sends(shots, Role.CLIENT) == 840
    assert futile_sends(shots, Role.SERVER) == 0


def test_a_writer_that_is_refused_now_and_then_and_moves_tries_nothing_in_vain() -> None:
    shots = [snapshot(1, 0, 100), snapshot(2, 50, 200), snapshot(3, 60, 300)]
    assert futile_sends(shots, Role.CLIENT) is None, "there is only one look at the last state"


def test_without_counters_nothing_is_known() -> None:
    shots = [replace(snapshot(number, 5, 100), progress=Pair(None, None)) for number in (1, 2)]
    assert futile_sends(shots, Role.CLIENT) is None
    assert futile_sends([], Role.CLIENT) is None
