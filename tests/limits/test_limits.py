"""Every row is measured: change a sysctl in a namespace, and the row follows."""

import ctypes
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from lab import limits
from lab.errors import EnvironmentLacksError
from lab.kernel.place import sysctl
from lab.kernel.place.netns import Namespace
from lab.limits import Limit
from tests.waiting import LIMIT_S, until

NOBODY = 65534
PR_SET_DUMPABLE = 4
PUBLISHED = {"tcp_rmem": "4096 87380 4161536", "tcp_wmem": "4096 16384 4161536"}


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Namespace.create() as made:
        yield made


def rows(here: Namespace | None = None) -> dict[str, Limit]:
    return {limit.claim: limit for limit in limits.measured(here)}


@pytest.mark.root
def test_every_claim_is_measured_with_a_reason_and_a_scope() -> None:
    found = rows()
    assert len(found) == 26
    for limit in found.values():
        assert limit.measured
        assert limit.holds is not None
        assert len(limit.why) > 20
        assert limit.scope in ("namespace", "host", "socket")


@pytest.mark.root
def test_the_triples_follow_the_namespace(namespace: Namespace) -> None:
    sysctl.write(namespace, PUBLISHED)
    found = rows(namespace)
    for key, triple in PUBLISHED.items():
        assert found[f"{key} is {triple}"].holds is True
    sysctl.write(namespace, {"tcp_rmem": "4096 99999 4161536"})
    changed = rows(namespace)["tcp_rmem is 4096 87380 4161536"]
    assert (changed.measured, changed.holds) == ("4096 99999 4161536", False)


@pytest.mark.root
def test_what_sockets_start_with_follows_the_sysctl(namespace: Namespace) -> None:
    sysctl.write(namespace, {"tcp_rmem": "4096 77777 4161536", "tcp_wmem": "4096 500000 4161536"})
    found = rows(namespace)
    receive = found["a TCP socket's receive buffer starts with the second number of tcp_rmem"]
    assert (receive.measured, receive.holds) == ("77777", True)
    send = found["a connected socket's send buffer starts with the second number of tcp_wmem"]
    assert (send.measured, send.holds) == ("500000 before connect(), 500000 after", True), "it is only ever raised"
    grown = found["autotuning lets a receive buffer grow up to the third number of tcp_rmem while its program reads"]
    assert (grown.measured or "").startswith("from 77777 to ")
    assert (grown.measured or "").endswith("of 4161536")


@pytest.mark.root
def test_without_autotuning_nothing_grows_and_the_row_says_so(namespace: Namespace) -> None:
    sysctl.write(namespace, {"tcp_moderate_rcvbuf": "0", "tcp_wmem": "4096 8192 8192"})
    found = rows(namespace)
    assert (
        found["autotuning lets a receive buffer grow up to the third number of tcp_rmem while its program reads"].holds
        is False
    )
    sending = found["autotuning lets a send buffer grow up to the third number of tcp_wmem"]
    assert sending.measured == "from 8192 to 8192, of 8192"


@pytest.mark.root
def test_measuring_leaves_no_sysctl_changed(namespace: Namespace) -> None:
    keys = ("tcp_rmem", "tcp_wmem", "tcp_moderate_rcvbuf")
    before = sysctl.read(namespace, keys), sysctl.read(Namespace.here(), keys), sysctl.read_core()
    rows(namespace)
    assert (sysctl.read(namespace, keys), sysctl.read(Namespace.here(), keys), sysctl.read_core()) == before


@pytest.mark.root
def test_the_minima_are_those_of_the_kernel_and_not_the_published() -> None:
    found = rows()
    for claim in ("the least SO_RCVBUF is 256", "the least SO_SNDBUF is 2048"):
        assert found[claim].holds is (found[claim].measured == found[claim].published)
        assert int(found[claim].measured or 0) > int(found[claim].published or 0)


@pytest.mark.root
def test_a_user_measures_all_of_it_in_a_namespace_of_his_own() -> None:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_as_nobody, args=(theirs,))
    child.start()
    try:
        assert ours.poll(LIMIT_S), "the limit on this wait is over"
        assert ours.recv() == (26, 0)
    finally:
        child.join(LIMIT_S)


def _as_nobody(answer: Connection) -> None:
    rows()  # Imports what nobody may not read under root's home.
    # A thread that was joined may have yet to end, and a user namespace takes a single one.
    until(lambda: len(os.listdir("/proc/self/task")) == 1, what="a single thread")
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # A process that changed its user may not write its maps.
    found = rows().values()
    answer.send((sum(limit.measured is not None for limit in found), sum(limit.holds is None for limit in found)))


def test_where_there_are_no_namespaces_the_rows_say_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden() -> Namespace:
        raise EnvironmentLacksError("cannot make a network namespace")

    monkeypatch.setattr(Namespace, "create", forbidden)
    found = rows()
    unseen = [limit for limit in found.values() if limit.measured is None]
    assert 0 < len(unseen) < len(found), "what needs no namespace is measured all the same"
    assert all(limit.holds is None and "cannot make a network namespace" in limit.why for limit in unseen)
