"""The second published cure: send no more than the buffers hold, then read all answers before the next batch."""

from lab.remedy import Effect, Remedy, cured

REMEDY = Remedy(
    name="send-less",
    summary="the client sends 4 KiB, reads all the answers to it, and sends on",
    changes="client: counts, and drains between batches",
    expected=Effect.CURES,
    apply=lambda scenario: cured(scenario, client="batches"),
)
