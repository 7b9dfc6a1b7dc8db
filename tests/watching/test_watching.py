"""Through its door: what is chosen is judged, once or live, and what cannot be chosen is refused."""

import os
from contextlib import closing, suppress

import pytest

from lab import errors
from lab.spec import Outcome
from lab.watching import Containers, Targets, Watch
from tests.kernel.hosts import descriptors
from tests.waiting import until
from tests.watching.watched import crowd, loopback


def test_every_connection_is_judged_and_the_first_verdict_on_each_is_news() -> None:
    with crowd(3, frozen=True) as (folder, *_), closing(Watch(Targets(namespaces=(folder,)))) as watch:
        assert len(watch.connections()) == 4
        for verdicts in (watch.once(), next(watch.live())):
            assert len(verdicts) == 4
            assert [each.outcome for each in verdicts].count(Outcome.DEADLOCK) == 1


def test_a_process_a_port_a_namespace_and_a_container_choose_their_connections() -> None:
    with crowd(2, frozen=True) as (folder, pid, number, _):
        inside = Containers({"box": pid}, lambda: {"box": pid})
        for targets, chosen in (
            (Targets(pids=(pid,)), 2),  # its children hold the frozen pair
            (Targets(ports=(number,)), 1),
            (Targets(pids=(pid,), ports=(number,)), 3),
            (Targets(namespaces=(folder,)), 3),
            (Targets(containers=inside), 3),
        ):
            with closing(Watch(targets)) as watch:
                assert len(watch.connections()) == chosen, targets


def test_a_namespace_that_comes_later_is_looked_into_and_one_that_is_left_is_let_go() -> None:
    with closing(Watch(Targets())) as watch:
        live = watch.live()
        next(live)
        with crowd(0, frozen=True) as (folder, _, client, _):
            inside, ends = os.readlink(folder), f"127.0.0.1:{client}"
            until(lambda: any(ends in (each.client, each.server) for each in next(live)))

        def is_let_go() -> bool:
            next(live)
            return inside not in _held()

        until(is_let_go)


def _held() -> set[str]:
    """What our descriptors refer to."""
    found = set()
    for each in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{each}"))
    return found


def test_what_is_nowhere_is_refused_and_nothing_is_left_open() -> None:
    before = descriptors()
    with loopback() as namespace, pytest.raises(errors.BadInputError, match="nowhere"):
        Watch(Targets(namespaces=(f"/proc/self/fd/{namespace.fd}", "nowhere")))
    assert descriptors() == before
