"""Non-blocking sockets alone: the pair is frozen in a busy loop, so no list of blocked threads shows it."""

from dataclasses import replace

from lab.remedy import Effect, Remedy
from lab.spec import Outcome

REMEDY = Remedy(
    name="nonblocking-naive",
    summary="the client never blocks, never reads, and tries again at once: a livelock",
    changes="client: a non-blocking socket, and no other thought",
    expected=Effect.HIDES,
    apply=lambda scenario: replace(scenario, client="nonblocking_naive", expected=Outcome.LIVELOCK),
)
