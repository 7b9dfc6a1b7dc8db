"""The frozen pairs again and again, each to its verdict: it must be a deadlock, every time."""

from collections import Counter
from collections.abc import Iterator
from statistics import median

from machines.inside.command import by_two
from machines.inside.runs import BUFFERS, Options, run
from machines.row import Row

PAIRS: Options = {
    "upper": ("upper",),
    "upper, squeezed": ("upper", *BUFFERS["squeezed"]),
    "echo": ("echo",),
    "echo, squeezed": ("echo", *BUFFERS["squeezed"]),
}


def play(times: str) -> Iterator[Row]:
    for name, words in PAIRS.items():
        rows = list(by_two(lambda _: run(name, (*words, "--until", "proof")), range(int(times))))  # noqa: B023 - played before the next
        right = sum(row.right for row in rows)
        grades = Counter(row.grade or row.outcome for row in rows)
        after = [row.proof_ms for row in rows if row.proof_ms is not None]
        counts = ", ".join(f"{count} {grade}" for grade, count in grades.items())
        yield Row(
            f"run {name}, {times} times",
            "deadlock",
            f"{right} of {len(rows)} deadlock",
            counts,
            median(after) if after else None,
            right=right == len(rows),
            note=f"at most {max(after):.0f} ms" if after else "",
        )
