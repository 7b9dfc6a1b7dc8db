"""Plays the points of a sweep on a Dask cluster: each on a free worker, and again on another if that worker dies.

Dask assigns tasks to workers, notices dead workers and repeats or cancels their tasks. A point is one task
(`cluster_worker.play`); a few for each thread of the workers are in flight. The results are kept on this machine, as
those of a local sweep are, so that either kind of sweep can resume the other.
"""

import logging
import pickle
import secrets
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client, Future
from distributed.client import ClosedClientError
from distributed.comm import get_address_host_port
from distributed.scheduler import KilledWorker
from distributed.security import Security

from lab.errors import EnvironmentLacksError, LabError, SpecError, TestbedError
from lab.installation import to_install
from lab.kernel.place.netns import signals_held
from lab.sweep import cluster_worker
from lab.sweep.grid import Point, by_reach
from lab.sweep.player import failed
from lab.sweep.row import Row

HOST = "host"
"""The Dask resource of which each host has one: a task that holds it may change settings of the whole host."""

CONNECT_S = 10.0
WORKERS_S = 30.0
"""How long the scheduler may take to answer, and how long the cluster may be without a worker."""

LOOK_S = 1.0
"""Between two queries of the workers."""

AHEAD = 2
"""Points in flight for each thread of the workers: one is played, and the next one waits there."""

RETRIES = 3
"""How often a point is played again if its player ends in mid-run. If its worker dies, Dask's own setting
`distributed.scheduler.allowed-failures` counts, which is 3 as well."""

END_S = 5.0
"""How long the scheduler may take to close the connection."""


def play_all(address: str, points: Iterable[Point], done: Callable[[Row], None]) -> None:
    """Call `done` with the row of each point as it comes, in this thread and in no particular order.

    Points that change settings of the whole host come last, one at a time on each host. Raises SpecError for a bad
    address, EnvironmentLacksError for a cluster that cannot play, and TestbedError for one that breaks away.
    """
    shared, alone = by_reach(points)
    with _connected(address) as client:
        _check_versions(client, address)
        sweep = secrets.token_hex(4)
        parts = [
            (these, _Playing(client, address, sweep, resources))
            for these, resources in ((shared, {}), (alone, {HOST: 1}))
            if these
        ]
        for _, playing in parts:
            playing.wait_for_workers()
        for these, playing in parts:
            playing.play(these, done)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    """A client; tasks that are in flight at its end are cancelled. Dask's log is off: errors that matter are raised."""
    with ExitStack() as stack:
        logging.disable(logging.CRITICAL)
        stack.callback(logging.disable, logging.NOTSET)
        stack.enter_context(warnings.catch_warnings(action="ignore"))  # those about versions
        with signals_held():  # a client that is interrupted while it connects would hang at exit
            client = _client(address)
            stack.callback(_close, client)
        yield client


def _client(address: str) -> Client:
    try:
        get_address_host_port(address, strict=True)
    except ValueError as error:
        raise SpecError(f"--cluster '{address}': {error}; for example tcp://host:8786") from None
    if address.startswith("tls:") and Security().get_connection_args("client")["ssl_context"] is None:
        raise SpecError(f"--cluster '{address}': Dask's configuration has no certificates: distributed.comm.tls")
    try:
        return Client(address, timeout=CONNECT_S, set_as_default=False, name="zero-window-lab")
    except OSError:
        raise EnvironmentLacksError(
            f"no Dask scheduler answers at {address} within {CONNECT_S:g} s: `dask scheduler` starts one"
        ) from None


def _close(client: Client) -> None:
    with suppress(OSError):  # the scheduler has gone, and the tasks with it
        client.close(timeout=END_S)


def _check_versions(client: Client, address: str) -> None:
    """Refuse a cluster with another Dask. A worker may join later: its version of the lab is checked when it plays."""
    try:
        versions: Any = client.get_versions()
    except OSError:
        raise _broken(address) from None
    mine = _dask(versions["client"])
    others = {"the scheduler": versions["scheduler"], **versions["workers"]}
    for name, theirs in others.items():
        if _dask(theirs) != mine:
            raise EnvironmentLacksError(
                f"{address}: {name} has distributed {_dask(theirs)}, and here is {mine}: start the whole cluster from "
                f"the lab's own environment ({to_install('cluster')})"
            )


def _dask(versions: Mapping[str, Mapping[str, str]]) -> str:
    return versions["packages"]["distributed"]


class _Playing:
    """Points that are in flight on the cluster."""

    def __init__(self, client: Client, address: str, sweep: str, resources: Mapping[str, int]) -> None:
        self._client = client
        self._address = address
        self._sweep = sweep
        self._resources = resources
        self._flying: dict[Future[bytes | str], Point] = {}
        self._landed: SimpleQueue[Future[bytes | str]] = SimpleQueue()
        self._room = 0
        self._looked = self._worked = time.monotonic()

    def wait_for_workers(self) -> None:
        """Raises EnvironmentLacksError if no worker joins that can play these points."""
        while not self._look():
            time.sleep(LOOK_S / 10)

    def play(self, points: Sequence[Point], done: Callable[[Row], None]) -> None:
        self._worked = time.monotonic()
        self._look()
        waiting = deque(points)
        while waiting or self._flying:
            while waiting and len(self._flying) < self._room:
                self._submit(waiting.popleft())
            if row := self._next_row():
                done(row)
            if time.monotonic() - self._looked > LOOK_S:
                self._look()

    def _submit(self, point: Point) -> None:
        # The key has the sweep in it: a task that an earlier sweep has cancelled may still run.
        key = f"point-{self._sweep}-{point.key}"
        try:
            future = self._client.submit(
                cluster_worker.play,
                cluster_worker.version(),
                pickle.dumps(point),
                key=key,
                resources=self._resources,
                retries=RETRIES,
            )
        except ClosedClientError:
            raise _broken(self._address) from None
        self._flying[future] = point
        future.add_done_callback(self._landed.put)

    def _next_row(self) -> Row | None:
        """The row of the next point that ends; None if none ends within LOOK_S."""
        try:
            future = self._landed.get(timeout=LOOK_S)
        except Empty:
            return None
        try:
            row = self._row(future, self._flying[future])
        except TimeoutError:  # the row was lost with its worker: the point is played again
            self._landed.put(future)
            return None
        del self._flying[future]
        return row

    def _row(self, future: Future[bytes | str], point: Point) -> Row:
        try:
            said: bytes | str = future.result(timeout=LOOK_S)
        except KilledWorker as error:
            return failed(point, f"{error.allowed_failures + 1} workers died over it; --resume plays it again")
        except cluster_worker.PlayerLostError as error:
            return failed(point, f"{error}, {RETRIES + 1} times; --resume plays it again")
        except Exception as error:  # noqa: BLE001 - whatever a worker raised is reported
            if future.status != "error":  # raised by Dask, not by the task
                raise error if isinstance(error, TimeoutError) else _broken(self._address) from None
            why = f"{type(error).__name__}: {error}"
            raise EnvironmentLacksError(
                f"{self._address}: a worker cannot play ({why}): start the whole cluster from the lab's own environment"
            ) from None
        if isinstance(said, str):
            raise EnvironmentLacksError(f"{self._address}: a worker {said}")
        row: Row = pickle.loads(said)  # noqa: S301 - a user of the cluster may run any code there anyway
        return row

    def _look(self) -> int:
        """How many points may be in flight, with the present workers."""
        self._looked = time.monotonic()
        try:
            workers = self._client.scheduler_info()["workers"].values()
        except OSError:
            raise _broken(self._address) from None
        able = [each for each in workers if all(each["resources"].get(name) for name in self._resources)]
        self._room = AHEAD * sum(each["nthreads"] for each in able)
        if self._room:
            self._worked = self._looked
        elif workers:
            raise EnvironmentLacksError(
                f"{self._address}: the grid sets host_sysctl, and no worker has the resource {HOST}: "
                f"start one on each host with --resources {HOST}=1"
            )
        elif self._looked - self._worked > WORKERS_S:
            raise EnvironmentLacksError(
                f"{self._address}: no worker for {WORKERS_S:g} s: `dask worker {self._address}` starts one"
            )
        return self._room


def _broken(address: str) -> LabError:
    return TestbedError(f"{address}: the Dask scheduler broke away: start it again, then --resume")
