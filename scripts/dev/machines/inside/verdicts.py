"""What the lab's rules say of random freezes, and when, against what moves later.

verdicts[:SETTINGS[:ROUNDS[:SEED]]]     so many random pairs of programs, each frozen so many times
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from machines.inside import speed
from machines.inside.claims import BLIND
from machines.inside.followed import Claim, Followed
from machines.inside.freezes import Result, played
from machines.inside.settings import draw_hosts, draw_pair
from machines.row import Row

BAR_MS, SHARE = 700.0, 0.95
"""Of the true freezes so many are to be proven so soon after the last byte."""


def play(settings: str = "200", rounds: str = "2", seed: str = "1", together: str = "8") -> Iterator[Row]:
    rnd = random.Random(int(seed))  # noqa: S311 - to be repeated, not to be kept secret
    results: list[Result] = []
    for begun in range(0, int(settings), int(together)):
        hosts = draw_hosts(rnd)
        pairs = [draw_pair(rnd, hosts) for _ in range(min(int(together), int(settings) - begun))]
        for result in played(hosts, pairs, int(rounds), rnd):
            results.append(result)
            _tell_refuted(result)
    yield from rows(results)


def _tell_refuted(result: Result) -> None:
    """What a person needs who looks for the reason: no row of the table."""
    for each in result.directions:
        for claim in each.refuted:
            if claim.rule not in BLIND:
                print(f"refuted: {claim.rule}, {each}, {result.hosts}, {result.setting}, {result.seen}", flush=True)


def rows(results: Sequence[Result]) -> Iterator[Row]:
    yield _judged("verdicts: closed windows", results, lambda claim: not claim.of_writer and claim.rule not in BLIND)
    yield _judged("verdicts: blocked writers", results, lambda claim: claim.of_writer)
    frozen = [result for result in results if result.frozen]
    others = sum(result.still for result in results) - len(frozen)
    yield Row(
        "verdicts: freezes",
        "some",
        f"{len(frozen)} pairs froze",
        right=bool(frozen),
        note=f"of {len(results)}; {others} stand still behind an open window",
    )
    yield _in_time("frozen pairs, both windows closed", frozen, closed_ms)
    yield _in_time("frozen pairs, both writers blocked", frozen, proof_ms)
    yield _blind([each for result in results for each in result.directions])


def _judged(what: str, results: Sequence[Result], which: Callable[[Claim], bool]) -> Row:
    """All claims of one kind, and those that were refuted."""
    made: Counter[str] = Counter()
    refuted = 0
    for each in (each for result in results for each in result.directions):
        false = [claim for claim in each.refuted if which(claim)]
        made.update(claim.rule for claim in (*false, *filter(which, each.claims)))
        refuted += len(false)
    counts = ", ".join(f"{count} {rule}" for rule, count in made.most_common())
    return Row(
        what,
        "0 refuted",
        f"{refuted} of {made.total()} refuted",
        right=not refuted and bool(made),
        false_proof=bool(refuted),
        note=counts,
    )


def proof_ms(directions: Sequence[Followed]) -> float | None:
    """From the last byte that moved in either direction to the claim that both writers are blocked for good."""
    return _after_the_last_byte(directions, [each.blocked_ms for each in directions])


def closed_ms(directions: Sequence[Followed]) -> float | None:
    """Likewise, to the claim that both windows are closed for good."""
    return _after_the_last_byte(directions, [each.closed_ms(BLIND) for each in directions])


def _after_the_last_byte(directions: Sequence[Followed], claims: Sequence[float | None]) -> float | None:
    known = [each for each in claims if each is not None]
    return max(known) - max(each.moved_ms for each in directions) if len(known) == len(directions) else None


def _in_time(what: str, frozen: Sequence[Result], time_of: Callable[[Sequence[Followed]], float | None]) -> Row:
    """How many freezes are called so within the bar, and within a bar that is as much longer as the place is slower."""
    times = sorted(ms for result in frozen if (ms := time_of(result.directions)) is not None)
    shares = [sum(ms <= bar for ms in times) / max(1, len(frozen)) for bar in (BAR_MS, BAR_MS * speed.slower)]
    note = "no pair froze"
    if times:
        late = times[-1 - len(times) // 20]
        sweep = median(result.sweep_ms for result in frozen)
        note = f"{len(times)} of {len(frozen)} at all, 95 % of these within {late:.0f} ms; asked every {sweep:.0f} ms"
    others = [why for result in frozen if proof_ms(result.directions) is None for why in result.unproven]
    if others:
        note += "; not proven: " + ", ".join(f"{count} {why}" for why, count in Counter(others).most_common())
    return Row(
        f"verdicts: {what}",
        f"{SHARE:.0%} within {BAR_MS * speed.slower:.0f} ms",
        f"{shares[0]:.1%} within {BAR_MS:.0f} ms, {shares[1]:.1%} within {BAR_MS * speed.slower:.0f} ms",
        proof_ms=median(times) if times else None,
        right=shares[1] >= SHARE,
        note=note,
    )


def _blind(directions: Sequence[Followed]) -> Row:
    """Claims without one of their conditions: right if what moved has refuted some."""
    false = Counter(claim.rule for each in directions for claim in each.refuted if claim.rule in BLIND)
    true = Counter(claim.rule for each in directions for claim in each.claims if claim.rule in BLIND)
    shown = ", ".join(f"{rule}: {false[rule]} of {false[rule] + true[rule]}" for rule in BLIND)
    return Row(
        "verdicts: rules without one condition",
        "some refuted",
        f"{false.total()} of {(false + true).total()} refuted",
        right=bool(false),
        note=shown,
    )
