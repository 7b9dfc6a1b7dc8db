"""What `lab watch` knows, for Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/.

    lab_watch_connections{outcome="deadlock",grade="proven"}   how many stand so; grade is empty but of a deadlock
    lab_watch_oldest_stall_seconds{outcome="deadlock"}         for how long the oldest has stood still, at least
    lab_watch_judged_timestamp_seconds                         when all were judged last (Unix time)

A connection counts by its last verdict. Each outcome has a line, also with none: an alarm needs no `absent()`.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from lab.errors import EnvironmentLacksError
from lab.spec import STALLS, Grade, Outcome
from lab.verdict import Verdict


class Metrics(Collector):
    """Served over HTTP until it is closed."""

    def __init__(self, host: str, port: int) -> None:
        """Port 0 is any that is free. EnvironmentLacksError: the address cannot be had."""
        self._verdicts: Sequence[Verdict] = ()
        self._judged_s = 0.0
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except (OSError, OverflowError) as error:
            raise EnvironmentLacksError(f"--metrics {host}:{port}: {getattr(error, 'strerror', error)}") from error

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def show(self, verdicts: Sequence[Verdict]) -> None:
        """All that were judged just now."""
        self._verdicts, self._judged_s = tuple(verdicts), time.time()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        verdicts, judged_s = self._verdicts, self._judged_s
        found = Counter((str(each.outcome), str(each.grade or "")) for each in verdicts)
        count = GaugeMetricFamily("lab_watch_connections", "Connections by verdict.", labels=("outcome", "grade"))
        for labels in sorted({*found, *_every_verdict()}):
            count.add_metric(labels, found[labels])
        yield count
        oldest = GaugeMetricFamily(
            "lab_watch_oldest_stall_seconds", "Age of the oldest connection that stands.", labels=("outcome",)
        )
        for outcome in STALLS:
            ages = [each.age_s for each in verdicts if each.outcome is outcome and each.age_s is not None]
            oldest.add_metric([outcome], max(ages) + time.time() - judged_s if ages else 0.0)
        yield oldest
        yield GaugeMetricFamily("lab_watch_judged_timestamp_seconds", "When all were judged last.", value=judged_s)


def _every_verdict() -> Iterator[tuple[str, str]]:
    for outcome in Outcome:
        yield from ((str(outcome), str(grade)) for grade in (Grade if outcome is Outcome.DEADLOCK else ("",)))
