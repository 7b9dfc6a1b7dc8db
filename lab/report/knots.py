"""The connections of one knot are told together: what holds of one of them holds of all."""

from collections.abc import Iterable, Sequence

from lab.report.contract import edges
from lab.report.reasons import all_words
from lab.spec import Grade
from lab.verdict import Verdict


def together(verdicts: Iterable[Verdict]) -> list[list[Verdict]]:
    """The verdicts in their order, those of one knot as one: they are proven by the same cycle of threads."""
    groups: dict[object, list[Verdict]] = {}
    for number, verdict in enumerate(verdicts):
        groups.setdefault(verdict.cycle if in_a_knot(verdict) else number, []).append(verdict)
    return list(groups.values())


def in_a_knot(verdict: Verdict) -> bool:
    """Whether a proof was found, in which the cycle is of threads."""
    return verdict.grade not in (None, Grade.CONSISTENT)


def numbered(verdicts: Sequence[Verdict]) -> tuple[list[int | None], list[dict[str, object]]]:
    """Of each verdict the `id` of its knot, and the knots as the JSON contract has them.

    `connections` are indexes into the verdicts.
    """
    ids: list[int | None] = [None] * len(verdicts)
    found: dict[object, list[int]] = {}
    for index, verdict in enumerate(verdicts):
        if in_a_knot(verdict):
            found.setdefault(verdict.cycle, []).append(index)
    for number, indexes in enumerate(found.values()):
        for index in indexes:
            ids[index] = number
    return ids, [_knot(number, verdicts, indexes) for number, indexes in enumerate(found.values())]


def _knot(number: int, verdicts: Sequence[Verdict], indexes: list[int]) -> dict[str, object]:
    first = verdicts[indexes[0]]
    return {
        "id": number,
        "kind": "write-write",
        "grade": first.grade,
        "edges": edges(first.cycle),
        "tail": edges(first.tail),
        "connections": indexes,
        "qualifiers": all_words(first.qualifiers),
        "holds_until_ns": first.holds_until_ns,
    }
