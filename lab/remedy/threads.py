"""The third published cure: a thread of its own always reads."""

from lab.remedy import Effect, Remedy, cured

REMEDY = Remedy(
    name="threads",
    summary="the client writes in one thread and reads in another",
    changes="client: a reader thread",
    expected=Effect.CURES,
    apply=lambda scenario: cured(scenario, client="threads"),
)
