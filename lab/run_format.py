"""The format of a run directory: its number, and what makes a run of an older one readable.

1: until version 0.1.0. A socket's record held `looks`, which were conclusions of the kernel room.
2: a socket's record holds `earlier`, raw samples; the manifest holds the number and the lab's version.
"""

from typing import Any

from lab.errors import BadInputError

FORMAT = 2
MS = 1_000_000
LONG_MS = 10_000
"""Before all that the samples of a run of format 1 have to show."""


def refuse_newer(number: int, where: str) -> None:
    """Raises BadInputError for a format that only a newer lab reads."""
    if number > FORMAT:
        raise BadInputError(f"{where}: is of format {number}, and this lab reads up to {FORMAT}: a newer one reads it")


def upgraded(record: dict[str, Any], number: int) -> dict[str, Any]:
    """A socket's record as format 2 has it."""
    if number == FORMAT:
        return record
    looks = record.pop("looks", None)
    return record | {"earlier": None if looks is None else _samples(record, looks)}


def _samples(record: dict[str, Any], looks: dict[str, Any]) -> list[dict[str, Any]]:
    """Samples that show what format 1 had concluded, and no more.

    For how long the receive buffer had been as full they do not show: what was in it, format 1 does not say. Nor do
    they show that the window was seen to close: whether the writer slept then, it does not say either.
    """
    begun = record["bytes_acked"] + record["wqueue"] - looks["written"]
    other = {"rmem_alloc": record["rmem_alloc"] + 1}
    first = {"bytes_acked": begun, "wqueue": 0, "snd_wnd": looks["window"], "snd_mss": looks["mss"]}
    last = first | other if looks["may_retry"] else other
    return [_ago(record, LONG_MS, first | other), _ago(record, LONG_MS - 1, last)]


def _ago(record: dict[str, Any], ms: int, facts: dict[str, Any]) -> dict[str, Any]:
    return record | {"time_ns": record["time_ns"] - ms * MS} | facts
