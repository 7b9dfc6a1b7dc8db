"""The second published cure: send less than the buffers hold, and beyond it in batches that are drained in between."""

from lab.remedy import Effect, Remedy, cured

REMEDY = Remedy(
    name="send-less",
    summary="the client sends 4 KiB, reads all the answers to it, and sends on",
    changes="client: counts, and drains between batches",
    expected=Effect.CURES,
    apply=lambda scenario: cured(scenario, client="batches"),
)
