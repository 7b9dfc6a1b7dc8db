"""The frozen pairs again and again: each must be a deadlock, every time."""

from collections.abc import Iterator
from statistics import median

from machines.inside.command import by_two
from machines.inside.runs import SQUEEZED, run
from machines.row import Row

PAIRS = (("upper",), ("upper", *SQUEEZED), ("echo",), ("echo", *SQUEEZED))


def play(times: str) -> Iterator[Row]:
    for pair in PAIRS:
        rows = list(by_two(lambda words: run(words, "deadlock"), [pair] * int(times)))
        found = sorted({row.outcome for row in rows})
        grades = {row.grade for row in rows}
        after = [row.proof_ms for row in rows if row.proof_ms is not None]
        counts = ", ".join(f"{sum(row.grade == grade for row in rows)} {grade or 'none'}" for grade in sorted(grades))
        most = f", at most {max(after):.0f} ms" if after else ""
        yield Row(
            f"{rows[0].what}, {len(rows)} times",
            "deadlock",
            " or ".join(found),
            " or ".join(sorted(grades)),
            median(after) if after else None,
            right=all(row.right for row in rows),
            note=f"{sum(row.right for row in rows)} of {len(rows)} right: {counts}{most}",
        )
