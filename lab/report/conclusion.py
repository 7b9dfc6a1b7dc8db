"""The first line of every report: the outcome in plain words, and whether it is proven."""

from lab.evidence import Evidence
from lab.report.escape import plain
from lab.report.page import count, cut, duration, several
from lab.report.reasons import words
from lab.spec import Answer, Grade, Outcome
from lab.verdict import Verdict

STUCK = {
    Outcome.READ_READ: "read-read deadlock: both programs wait to read, and nothing is on its way to either",
    Outcome.ONE_SIDED_STALL: "one-sided stall, no deadlock: the client waits for room, and the server does not",
    Outcome.IDLE: "idle, no deadlock: nothing lies in any buffer, and no program waits to write",
    Outcome.BLACKHOLE: "blackhole, no deadlock: the peer does not answer",
    Outcome.LIVELOCK: "livelock: a program runs and tries again and again, and no byte moves",
    Outcome.SUSPENDED: "suspended, no deadlock: a program is stopped, and may go on when it is continued",
    Outcome.MOVING: "moving: bytes still went to and fro when this was judged",
}
"""Outcomes whose sentence needs no figures."""

COLOURS = {
    Outcome.DEADLOCK: "bold red",
    Outcome.READ_READ: "bold red",
    Outcome.ABORTED: "bold red",
    Outcome.LIVELOCK: "bold red",
    Outcome.INCONCLUSIVE: "bold yellow",
    Outcome.ONE_SIDED_STALL: "bold yellow",
    Outcome.BLACKHOLE: "bold yellow",
    Outcome.SUSPENDED: "bold yellow",
}


def colour(outcome: Outcome) -> str:
    return COLOURS.get(outcome, "bold green")


def conclusion(verdict: Verdict, evidence: Evidence) -> str:
    """One line, under 100 columns."""
    return cut(_sentence(verdict, evidence))


def _sentence(verdict: Verdict, evidence: Evidence) -> str:
    match verdict.outcome:
        case Outcome.DEADLOCK:
            return _deadlock(verdict)
        case Outcome.COMPLETED:
            return _completed(evidence)
        case Outcome.ABORTED:
            return _aborted(evidence)
        case Outcome.SLOW_READER:
            zeros = sum(number or 0 for number in verdict.wire.zero_windows)
            return f"slow reader, no deadlock: {several(zeros, 'zero window')}, and each opens again: it moves"
        case Outcome.INCONCLUSIVE:
            return _inconclusive(verdict)
        case _:
            return STUCK[verdict.outcome]


def began_ns(evidence: Evidence) -> int:
    """When the connection began: at its first captured segment; else at the start of the run."""
    return evidence.wire.began.time_ns if evidence.wire.began else evidence.started_ns


def _deadlock(verdict: Verdict) -> str:
    if verdict.grade is not Grade.CONSISTENT:
        qualified = f"; but for: {plain(words(verdict.qualifiers[0]))}" if verdict.qualifiers else ""
        return f"deadlock ({verdict.grade}): each program waits to write until the other reads{qualified}"
    if verdict.missing:
        decides = "what was not observed would decide"
    elif verdict.live:
        decides = f"would {several(len(verdict.live), 'live thread')} read?"
    else:
        decides = "every thread's wait would decide"
    return f"deadlock (consistent, NOT PROVEN; {decides}): both programs wait to write"


def _completed(evidence: Evidence) -> str:
    client, server = evidence.ended
    if client is None or server is None:
        return "completed: all data verified"
    took = duration((max(client.time_ns, server.time_ns) - began_ns(evidence)) / 1e9)
    if evidence.spec and evidence.spec.scenario.load.answer is Answer.NOTHING:
        return f"completed: {count(server.received)} bytes went, verified, in {took}; this server answers nothing"
    return f"completed: {count(client.sent)} bytes went and {count(client.received)} came back, verified, in {took}"


def _aborted(evidence: Evidence) -> str:
    failed = [end for end in evidence.ended if end and end.error]
    if not failed:
        return "aborted: it ended before its completion"
    first = min(failed, key=lambda end: end.time_ns)
    what = "read WRONG DATA" if any(end.corrupt for end in failed) else "failed first"
    return f"aborted: the {first.role}'s program {what}: {plain(first.error or '')}"


def _inconclusive(verdict: Verdict) -> str:
    if verdict.contradictions:
        return f"inconclusive, the witnesses disagree: {plain(words(verdict.contradictions[0]))}"
    first = f": {plain(words(verdict.missing[0]))}" if verdict.missing else ""
    return f"inconclusive, {several(len(verdict.missing), 'fact')} not observed{first}"


def explanation(verdict: Verdict) -> str | None:
    """Two sentences for a reader who sees such a freeze for the first time."""
    age = "" if verdict.age_s is None else f" For {duration(verdict.age_s)} no byte has been accepted."
    match verdict.outcome:
        case Outcome.DEADLOCK:
            return (
                "Each program is stuck in a send, for the buffers on the way to the other are full. Only reading would "
                f"make room, and neither reads.{age}"
            )
        case Outcome.READ_READ:
            return f"Each program would write only after it has read. Every buffer is empty, every window open.{age}"
        case Outcome.ONE_SIDED_STALL:
            return f"There is no circle: it goes on as soon as the server reads, and no full buffer hinders it.{age}"
        case Outcome.COMPLETED if zeros := sum(number or 0 for number in verdict.wire.zero_windows):
            return (
                f"{several(zeros, 'zero window')}, and it completed all the same: a zero window alone is no deadlock."
            )
        case _:
            return None
