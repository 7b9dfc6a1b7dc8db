"""Whether a program tries in vain: it runs, each of its sends is refused, and meanwhile no byte moves anywhere.

No thread of it is blocked, so no graph of waits shows it. The program itself counts its refused sends (EAGAIN).
"""

from collections.abc import Sequence

from lab.evidence import Snapshot
from lab.spec import Role


def futile_sends(snapshots: Sequence[Snapshot], role: Role) -> int | None:
    """How many sends were refused in the last stretch in which no sequence of either socket changed.

    None if that is not known: no counter, or no two samples of the same state.
    """
    stretch = _still(snapshots)
    counts = [progress.refused for snapshot in stretch if (progress := snapshot.progress[role])]
    return counts[-1] - counts[0] if len(counts) > 1 else None


def _still(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """The last snapshots that show the same sequences, first to last."""
    stretch: list[Snapshot] = []
    for snapshot in reversed(snapshots):
        if stretch and _progress(snapshot) != _progress(stretch[-1]):
            break
        stretch.append(snapshot)
    return stretch[::-1]


def _progress(snapshot: Snapshot) -> list[object]:
    return [socket and (socket.app_progress, socket.tcp_progress) for socket in snapshot.sockets]
