"""Programs at the barrier that lie, flood and sabotage, in real runs: the controller does not fail, wait or err.

What the pair really does the kernel tells: a deadlock is proven in spite of all deeds, and none where there is none.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lab import errors
from lab.evidence import Evidence
from lab.experiment import play
from lab.kernel.place import link
from lab.kernel.place.netns import Namespace, program_in
from lab.proof.judge import judge
from lab.report.reasons import all_words
from lab.spec import Limits, Outcome, Pair, Role, Spec
from lab.store import load
from lab.testbed import Site, process
from lab.testbed.barrier import LOG_SIZE, Program
from lab.verdict import Verdict
from tests.played import SQUEEZED, recorded, specified, taped
from tests.testbed import hostile
from tests.waiting import LIMIT_S

ROOT = Path(__file__).parent.parent.parent
LIMITS = Limits(barrier_s=1.5, probes_s=2.0, run_s=20.0)
FROZEN = replace(specified("upper", net="198.18.180", **SQUEEZED), limits=LIMITS)
PUBLISHED = replace(specified("upper", net="198.18.180"), limits=LIMITS)


@contextmanager
def guests(namespaces: Pair[Namespace], identity: str, deed: str) -> Iterator[Pair[int]]:
    """Both programs do the deed."""
    with ExitStack() as stack:
        pids = []
        for role in Role:
            started = subprocess.Popen(
                [sys.executable, "-S", "-m", "tests.testbed.hostile", role, identity, deed],
                cwd=ROOT,
                start_new_session=True,
                preexec_fn=program_in(namespaces[role]),  # noqa: PLW1509 - only system calls
            )
            stack.callback(_end, started)
            pids.append(started.pid)
        yield Pair(*pids)


def _end(started: subprocess.Popen[bytes]) -> None:
    os.killpg(started.pid, signal.SIGKILL)  # with all that it has forked
    started.wait()


@contextmanager
def site(spec: Spec, deed: str) -> Iterator[Site]:
    identity = secrets.token_hex(8)
    with ExitStack() as stack:
        namespaces = Pair(*(stack.enter_context(Namespace.create()) for _ in Role))
        hosts = stack.enter_context(guests(namespaces, identity, deed))
        link.join(namespaces.client, namespaces.server, spec.mtu)
        for role in Role:
            link.bring_up(namespaces[role], (f"{spec.address(role)}/24", "127.0.0.1/8"))
        addresses = Pair(*(spec.address(role) for role in Role))
        interfaces = Pair(*(link.interface_of(namespaces[role], addresses[role]) for role in Role))
        programs = stack.enter_context(process.programs(namespaces, identity, spec.limits.barrier_s, hosts))
        yield Site(namespaces, programs, addresses, interfaces)


def played(deed: str, spec: Spec) -> Evidence:
    with site(spec, deed) as ready:
        return taped(lambda record: play(spec, ready, record))[-1]


def judged(evidence: Evidence, runs: Path) -> Verdict:
    """The verdict, which is the same from the run directory."""
    verdict = judge(evidence)
    assert judge(load(recorded(runs, (evidence,)))) == verdict
    return verdict


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("deed", [deed.__name__ for deed in hostile.HONEST])
def test_a_deadlock_is_proven_whatever_its_programs_do_besides(deed: str, tmp_path: Path) -> None:
    before = open_descriptors()
    evidence = played(deed, FROZEN)
    verdict = judged(evidence, tmp_path)
    assert (verdict.outcome, verdict.contradictions, verdict.missing) == (Outcome.DEADLOCK, (), ())
    assert verdict.grade is not None
    assert verdict.grade.startswith("proven")
    assert all(len(text) <= LOG_SIZE for text in evidence.logs)
    assert open_descriptors() == before


def test_a_page_full_of_nonsense_never_makes_it_anything_else(tmp_path: Path) -> None:
    """No proof stands on the counters: they can only contradict it, or be missing."""
    verdict = judged(played("scribbles", FROZEN), tmp_path)
    assert verdict.outcome in (Outcome.DEADLOCK, Outcome.INCONCLUSIVE)
    assert verdict.contradictions or verdict.missing


@pytest.mark.parametrize("deed", ["has_done_it_all", "has_done_it_all_on_a_connection", "has_done_it_all_and_reset"])
def test_no_run_completes_by_word_of_mouth(deed: str, tmp_path: Path) -> None:
    verdict = judged(played(deed, PUBLISHED), tmp_path)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any(
        "bytes" in each or "the wire shows no conversation" in each for each in all_words(verdict.contradictions)
    )


def test_the_freeze_of_strangers_is_not_the_pairs(tmp_path: Path) -> None:
    verdict = judged(played("points_at_strangers", FROZEN), tmp_path)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any("its program does not hold it" in each for each in all_words(verdict.contradictions))


@pytest.mark.parametrize(
    ("deed", "says"),
    [
        ("floods", "the server's program says too much: more than 256 messages"),
        ("says_half_a_line", r"waited 1\.5 s for the server to listen"),
        ("accepts_nobody", r"the client's program was not at the barrier within 1\.5 s"),
    ],
)
def test_what_cannot_be_waited_for_ends_the_run_in_time(deed: str, says: str) -> None:
    began = time.monotonic()
    with pytest.raises(errors.TestbedError, match=says):
        played(deed, FROZEN)
    assert time.monotonic() - began < LIMIT_S


def test_who_stands_at_the_barrier_in_a_programs_name_gets_no_job() -> None:
    identity, here = secrets.token_hex(8), Pair(Namespace.here(), Namespace.here())
    with guests(here, identity, "has_done_it_all") as strangers:
        with pytest.raises(errors.TestbedError, match=f"process {strangers.client} stands at the barrier in its name"):
            Program.meet(here.client, identity, Role.CLIENT, 10, os.getpid())
        os.kill(strangers.client, signal.SIGSTOP)
