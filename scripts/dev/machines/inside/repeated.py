"""The frozen pairs again and again, each to its verdict: it must be a deadlock, every time.

One process plays them all, each in new namespaces: in there it takes longer to start Python than to freeze.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from lab.cli.options import specify
from lab.playing import play_and_judge
from lab.report.contract import as_contract
from lab.testbed import netns
from machines.row import Row, judged

SMALL = "4096 8192 8192"
SQUEEZED = {"tcp_rmem": SMALL, "tcp_wmem": SMALL}
PAIRS: dict[str, dict[str, str]] = {
    "upper": {},
    "upper, squeezed": SQUEEZED,
    "upper, SO_RCVBUF, SO_SNDBUF": {"so_rcvbuf": "64KiB", "so_sndbuf": "64KiB"},
    "echo": {},
    "echo, squeezed": SQUEEZED,
    "echo, IPv6": {"ip": "6"},
}


def play(times: str, *names: str) -> Iterator[Row]:
    """All pairs, or those that are named."""
    with netns.warm() as next_site:
        for name in names or PAIRS:
            spec = specify({"scenario": name.partition(",")[0], "until": "proof"} | PAIRS[name], "netns")
            rows = []
            for _ in range(int(times)):
                with next_site(spec) as site:
                    played = play_and_judge(spec, site=site)
                rows.append(judged(name, played.expected, as_contract(played.verdict)))
            yield counted(name, rows)


def counted(name: str, rows: Sequence[Row]) -> Row:
    """Right if each of them is, and proven."""
    right = sum(row.right for row in rows)
    false = any(row.false_proof for row in rows)
    grades = Counter(row.grade or row.outcome for row in rows)
    after = [row.proof_ms for row in rows if row.proof_ms is not None]
    return Row(
        f"run {name}, {len(rows)} times",
        "deadlock",
        f"{right} of {len(rows)} deadlock",
        ", ".join(f"{count} {grade}" for grade, count in grades.items()),
        median(after) if after else None,
        right=right == len(rows) == len(after),
        false_proof=false,
        note=f"at most {max(after):.0f} ms" if after else "",
    )
