"""Plays one spec on one site and yields the evidence so far: knows the order of the steps, and the clock."""

import select
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from typing import TypeVar

from lab.errors import EnvironmentLacksError, TestbedError
from lab.evidence import Evidence, Settings, Snapshot
from lab.forecast import SYSCTLS
from lab.kernel.capture.ring import Capture
from lab.kernel.place import sysctl
from lab.observer import Observer, Record
from lab.proof.judge import judge, proven
from lab.proof.stack.traits import GIVING_UP
from lab.spec import Grade, Outcome, Pair, Role, Spec, Until
from lab.testbed import Site

T = TypeVar("T")

SETTINGS_KEYS = (
    *SYSCTLS,
    "tcp_sack",
    "tcp_window_scaling",
    "tcp_shrink_window",
    "tcp_adv_win_scale",
    "tcp_notsent_lowat",
    *GIVING_UP,
)
JUDGE_AGAIN_S, JUDGE_AGAIN = 0.02, 0.1
"""Between two judgements, and of the time that a pair has stood still already: judging is dearer than a sample."""
PROVEN_TICK_S = 0.01
"""Between two samples of a pair of which only probes are awaited."""
AT_REST_S = 1.0
"""For so long another last snapshot is tried, where the first does not show what has been proven."""
PAUSE = 0.25
"""Of a tick, at least, are left to the programs."""
SHOW_S = 0.1
"""Between two yields of the evidence so far, and between two judgements of a pair that moves."""
SLOW_READER_S = 1.0
"""How long a scenario that is judged while it moves is let move."""


def play(spec: Spec, site: Site, record: Record | None = None) -> Generator[Evidence, None, None]:
    """Tune, listen, capture, connect, watch. Yields the evidence about ten times a second; the last is the whole.

    `record` is given the frames, as soon as they come.
    """
    assert site.core_before or not spec.host_sysctls, "a site comes from Testbed.site, which writes them"
    with ExitStack() as stack:
        settings = Pair(*(_tune(spec, site, role) for role in Role))
        server, client = site.programs.server, site.programs.client
        server.play(_job(spec, site, Role.SERVER, spec.port or (spec.scenario.port if site.private_sysctls else 0)))
        port = _await(site, spec, lambda: server.port, "the server to listen")
        capture, blind = _capture(spec, site, port)
        if capture is not None:
            stack.enter_context(closing(capture))
        observer = stack.enter_context(closing(Observer(spec, site, settings, capture, record)))
        if blind:
            observer.miss(blind)
        client.play(_job(spec, site, Role.CLIENT, port))
        server.peer = _await(site, spec, lambda: client.connected, "the client to connect").local
        yield from _watch(spec, site, observer)
        observer.settle()
        yield observer.evidence()


def _watch(spec: Spec, site: Site, observer: Observer) -> Generator[Evidence, None, None]:
    shown = due = time.monotonic()
    end = _End(spec, observer, shown)
    latest: Snapshot | None = None
    while True:
        now = time.monotonic()
        before, latest = latest, observer.take()
        if all(site.programs[role].ended for role in Role) or end.has_come(now, is_news=latest is not before):
            return
        if now - shown >= SHOW_S:
            shown = now
            yield observer.evidence()
        tick_s = spec.limits.tick_s if end.proven_at is None else max(spec.limits.tick_s, PROVEN_TICK_S)
        now = time.monotonic()
        due = max(due + tick_s, now + PAUSE * tick_s)
        _rest(site, due - now)


class _End:
    """Knows when a run has been looked at for long enough. Times by the monotonic clock."""

    def __init__(self, spec: Spec, observer: Observer, began: float) -> None:
        self._spec, self._observer, self._began = spec, observer, began
        self.proven_at: float | None = None
        self._judge_from = began
        self._over_at: float | None = None

    def has_come(self, now: float, *, is_news: bool) -> bool:
        just_proven = self.proven_at is None and is_news and self._is_proven()
        if just_proven:
            self._observer.keep()
            self.proven_at = now
        if not self._is_over(now):
            self._over_at = None
            return False
        if self._over_at is None:
            self._over_at = now
        return just_proven or self._shows_it() or now - self._over_at >= AT_REST_S

    def _is_over(self, now: float) -> bool:
        spec, observer = self._spec, self._observer
        if isinstance(spec.until, float):
            return now - self._began >= spec.until
        if self.proven_at is not None:
            return spec.until is Until.PROOF or observer.probed() or now - self.proven_at >= spec.limits.probes_s
        if now < self._judge_from:
            return False
        self._judge_from = now + max(JUDGE_AGAIN_S, JUDGE_AGAIN * observer.still_s())
        return _enough(spec, observer, now - self._began)

    def _is_proven(self) -> bool:
        if self._spec.scenario.expected is Outcome.ABORTED or not self._observer.may_be_stuck():
            return False
        return proven(self._observer.evidence(brief=True))

    def _shows_it(self) -> bool:
        """Whether the last snapshot still shows the proof: one in the midst of which a probe comes in does not."""
        return self.proven_at is None or self._is_proven()


def _enough(spec: Spec, observer: Observer, played_s: float) -> bool:
    """Whether there is nothing more to wait for, without a proof."""
    still_s = observer.still_s()
    if played_s >= spec.limits.run_s or still_s >= spec.limits.probes_s:
        return True
    if spec.scenario.expected is Outcome.ABORTED:
        return observer.given_up() and still_s >= spec.limits.still_s
    if still_s < spec.limits.still_s:
        slow = spec.scenario.expected is Outcome.SLOW_READER and played_s >= SLOW_READER_S
        return slow and judge(observer.evidence()).outcome is Outcome.SLOW_READER
    if spec.until is Until.PROBES and spec.scenario.freezes and not observer.probed():
        return False
    evidence = observer.evidence()
    verdict = judge(evidence)
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return bool(evidence.missing)  # waiting does not show what may not be seen
    if verdict.grade is Grade.CONSISTENT:
        return bool(verdict.missing)  # a probe's answer may settle it, and the kernel leaves some probes unanswered
    return verdict.outcome not in (Outcome.MOVING, Outcome.SLOW_READER)


def _rest(site: Site, seconds: float) -> None:
    """Until a program has something to say, or the time has passed; poll(2) knows whole milliseconds only."""
    if seconds < 0.001:
        time.sleep(seconds)
        return
    poll = select.poll()
    for role in Role:
        if not site.programs[role].gone:  # a connection that has ended is always readable
            poll.register(site.programs[role], select.POLLIN)
    poll.poll(seconds * 1000)


def _await(site: Site, spec: Spec, fact: Callable[[], T | None], what: str) -> T:
    """Read messages until there is such a fact."""
    deadline = time.monotonic() + spec.limits.barrier_s
    while (value := fact()) is None:
        if time.monotonic() > deadline:
            raise TestbedError(f"waited {spec.limits.barrier_s:g} s for {what}")
        for end in (site.programs[role].ended for role in Role):
            if end and end.error:
                raise TestbedError(f"waited for {what}, but the {end.role}'s program ended: {end.error}")
        _rest(site, spec.limits.tick_s)
        for role in Role:
            site.programs[role].read_messages()
    return value


def _job(spec: Spec, site: Site, role: Role, port: int) -> dict[str, object]:
    """The job of one endpoint; the keys are those of `lab.endpoint.job`."""
    scenario, load, options = spec.scenario, spec.scenario.load, spec.options[role]
    return {
        "behaviour": scenario.server if role is Role.SERVER else scenario.client,
        "family": spec.ip,
        "address": site.addresses.server,
        "port": port,
        "payload": load.payload,
        "send_size": load.send_size,
        "recv_size": load.recv_size,
        "server_block": load.server_block,
        "answer": load.answer,
        "paced_s": load.paced_s,
        "so_rcvbuf": options.so_rcvbuf,
        "so_sndbuf": options.so_sndbuf,
        "nodelay": options.nodelay,
        "congestion": options.congestion,
    }


def _capture(spec: Spec, site: Site, port: int) -> tuple[Capture | None, str | None]:
    """An open capture; or none, and why."""
    try:
        where = site.namespaces.client, site.interfaces.client.name
        return Capture(*where, spec.capture, port, spec.snaplen, helper=site.helper), None
    except EnvironmentLacksError as error:
        return None, str(error)


def _tune(spec: Spec, site: Site, role: Role) -> Settings | None:
    """Write the sysctls of one side and read them back."""
    namespace, values = site.namespaces[role], spec.buffers[role].sysctls
    keys = dict.fromkeys((*SETTINGS_KEYS, *values))
    before = sysctl.read(namespace, keys)
    if values:
        sysctl.write(namespace, values)
    return Settings(sysctl.read(namespace, keys), before, site.interfaces[role].mtu)
