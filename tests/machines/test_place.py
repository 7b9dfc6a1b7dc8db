"""The places lie beyond each end of the range of kernels of which a premise is known, if Debian has such kernels."""

from collections.abc import Iterator

import pytest

from lab.proof.premises import TABLE, Kernels
from machines.place import PLACES

KERNELS = {place.kernel.name: place.kernel for place in PLACES}
OLDER_THAN_ANY = {"5.6"}
"""Below it pidfd_getfd(2) is missing, so that socket options are not known; Debian packs no older kernel any more."""


def number(release: str) -> tuple[int, ...]:
    """A name without a minor number is of the newest of these."""
    return tuple(int(part) for part in f"{release}.99".split("."))[:2]


def ends() -> Iterator[tuple[str, str, bool]]:
    for premise in TABLE:
        if premise.kernels.since != Kernels().since:
            yield premise.id, premise.kernels.since, False
        if premise.kernels.below:
            yield premise.id, premise.kernels.below, True


ENDS = list(ends())


@pytest.mark.parametrize(("premise", "release", "beyond_is_newer"), ENDS)
def test_beyond_each_end_of_a_range_lies_a_place(premise: str, release: str, beyond_is_newer: bool) -> None:
    found = [name for name in KERNELS if (number(name) >= number(release)) is beyond_is_newer]
    assert bool(found) is not (release in OLDER_THAN_ANY), premise


def test_the_places_lie_on_both_sides_of_what_decides_most() -> None:
    """tcpi_rcv_wnd (6.2), the freezer's and io_uring's names (6.13), and tcp_sequence() (6.17 to 7.0)."""
    for release in ("6.2", "6.13", "6.17", "7"):
        assert {number(name) >= number(release) for name in KERNELS} == {False, True}, release
