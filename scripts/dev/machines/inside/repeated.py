"""The frozen pairs again and again, each to its verdict: it must be a deadlock, every time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from machines.inside import warm
from machines.inside.warm import BUFFERS
from machines.row import Row

PAIRS: dict[str, warm.Options] = {
    "upper": {},
    "upper, squeezed": BUFFERS["squeezed"],
    "upper, SO_RCVBUF, SO_SNDBUF": BUFFERS["SO_RCVBUF, SO_SNDBUF"],
    "echo": {},
    "echo, squeezed": BUFFERS["squeezed"],
    "echo, IPv6": BUFFERS["IPv6"],
}


def play(times: str, *names: str) -> Iterator[Row]:
    """All pairs, or those that are named."""
    with warm.player() as player:
        for name in names or PAIRS:
            options = {"scenario": name.partition(",")[0], "until": "proof", **PAIRS[name]}
            yield counted(name, [player(name, options) for _ in range(int(times))])


def counted(name: str, rows: Sequence[Row]) -> Row:
    """Right if each of them is, and proven."""
    right = sum(row.right for row in rows)
    grades = Counter(row.grade or row.outcome for row in rows)
    after = [row.proof_ms for row in rows if row.proof_ms is not None]
    return Row(
        f"run {name}, {len(rows)} times",
        "deadlock",
        f"{right} of {len(rows)} deadlock",
        ", ".join(f"{count} {grade}" for grade, count in grades.items()),
        median(after) if after else None,
        right=right == len(rows) == len(after),
        false_proof=any(row.false_proof for row in rows),
        note=f"at most {max(after):.0f} ms" if after else "",
    )
