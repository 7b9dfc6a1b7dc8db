"""What is told of a run of the corpus: a line a case, and the confusion matrix of each rule."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.corpus.case import Truth
from tests.corpus.trial import Trial

RULES = {"structure": "ours: structure", "watch": "ours: lab watch"}
RECALL = 0.95
"""The share of the true deadlocks that must be proven."""


@dataclass(slots=True)
class Counts:
    """True and false, positives and negatives."""

    tp: int = 0
    fn: int = 0
    fp: int = 0
    tn: int = 0

    def add(self, truth: bool, said: bool) -> None:
        name = ("tp" if said else "fn") if truth else ("fp" if said else "tn")
        setattr(self, name, getattr(self, name) + 1)


def is_proven(trial: Trial, by: str) -> bool:
    """Whether the rule's answer is a proof for each judged connection: what it must be for a true deadlock.

    A proxy that serves both sides in turn may be stuck with either: then the other hangs on.
    """
    answers = [claim for claim in trial.answers if claim.by == by]
    judged = [claim for claim in answers if claim.connection.judged]
    beyond = [claim for claim in answers if not claim.connection.judged]
    return (bool(judged) and all(claim.proves for claim in judged)) or any(claim.proves for claim in beyond)


def _claims_deadlock(trial: Trial, by: str) -> bool:
    """As far as the matrix goes: a proof of a true deadlock, or a false proof, at any time, of what is none.

    `proven-until` of a pair that moves later, and not before, is no such claim.
    """
    if trial.case.truth is Truth.DEADLOCK:
        return is_proven(trial, by)
    return any(broken.startswith(by) for broken in trial.broken_claims)


def matrix(trials: Sequence[Trial]) -> dict[str, Counts]:
    """Counts by rule, over the cases that could be played and are what they say."""
    counts: dict[str, Counts] = {}
    for trial in trials:
        if trial.error or not trial.confirmed:
            continue
        truth = trial.case.truth is Truth.DEADLOCK
        for rule in sorted(trial.said):
            counts.setdefault(rule, Counts()).add(truth, trial.said[rule])
        for by in {claim.by for claim in trial.answers}:
            counts.setdefault(RULES[by], Counts()).add(truth, _claims_deadlock(trial, by))
    return counts


def failures(trials: Iterable[Trial]) -> Iterator[str]:
    """Why the run fails: false and moved proofs, cases that are not what they say, and too few of the true ones."""
    found: dict[str, list[bool]] = {}
    for trial in trials:
        yield from (f"{trial.case.name}: FALSE PROOF: {claim}" for claim in trial.broken_claims)
        if trial.error:
            yield f"{trial.case.name}: could not be played: {trial.error}"
        elif not trial.confirmed:
            yield f"{trial.case.name}: the byte counters do not bear out that it is '{trial.case.truth}'"
        elif trial.case.provable:
            for by in {claim.by for claim in trial.answers}:
                found.setdefault(by, []).append(is_proven(trial, by))
    for by, proven in found.items():
        if sum(proven) < RECALL * len(proven):
            yield f"{by}: only {sum(proven)} of {len(proven)} true deadlocks proven, {RECALL:.0%} needed"


def table(trials: Iterable[Trial]) -> Iterator[str]:
    """One line a case."""
    simple = "simple rules that say so"
    yield f"{'case':<30} {'truth':<8} {'stood':>6} {'moved':>6}  {'verdict':<36} {'proof ms':>8}  {simple}"
    for trial in trials:
        yield _line(trial)


def _line(trial: Trial) -> str:
    moved = "" if trial.moved_after_s is None else f"+{trial.moved_after_s:.2f}"
    judged = [claim for claim in trial.answers if claim.connection.judged]
    asked = [claim for claim in judged if claim.by == "watch"] or judged
    verdict = ", ".join(sorted({" ".join(filter(None, (claim.outcome, claim.grade))) for claim in asked}))
    proof = "" if trial.proof_ms is None else f"{trial.proof_ms:.0f}"
    simple = " ".join(rule.split()[0] for rule, said in sorted(trial.said.items()) if said)
    case = f"{trial.case.name:<30} {trial.case.truth:<8} {trial.still_s:>6.2f} {moved:>6}"
    return f"{case}  {verdict:<36} {proof:>8}  {simple}{_remark(trial)}"


def _remark(trial: Trial) -> str:
    if trial.error:
        return f"  ERROR {trial.error}"
    remarks = [] if trial.confirmed else ["TRUTH NOT CONFIRMED"]
    remarks += ["second try"] if trial.again else []
    remarks += [f"FALSE PROOF: {claim}" for claim in trial.broken_claims]
    for by in sorted({claim.by for claim in trial.answers}):
        if trial.case.provable and not is_proven(trial, by):
            remarks.append(f"{by}: not proven")
    watched = {claim.outcome for claim in trial.answers if claim.by == "watch" and claim.connection.judged}
    if trial.case.outcomes and not watched <= trial.case.outcomes:
        remarks.append(f"expected {' or '.join(sorted(trial.case.outcomes))}")
    structure = [claim for claim in trial.answers if claim.by == "structure" and claim.connection.judged]
    if structure and trial.case.hard:
        remarks.append(f"{sum(claim.proves for claim in structure)} of {len(structure)} proven")
    if trial.starved:
        remarks.append(f"{trial.starved} starved")
    return f"  [{'; '.join(remarks)}]" if remarks else ""


def matrix_lines(trials: Sequence[Trial]) -> Iterator[str]:
    yield f"{'rule':<24} {'TP':>4} {'FN':>4} {'FP':>4} {'TN':>4}"
    for rule, counts in matrix(trials).items():
        yield f"{rule:<24} {counts.tp:>4} {counts.fn:>4} {counts.fp:>4} {counts.tn:>4}"
