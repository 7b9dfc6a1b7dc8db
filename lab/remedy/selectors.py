"""One thread waits for both directions at once, as libpq, rsync and every event loop do."""

from lab.remedy import Effect, Remedy, cured

REMEDY = Remedy(
    name="selectors",
    summary="the client waits for room and for data at once, and reads whenever it can",
    changes="client: an event loop, no blocking call",
    expected=Effect.CURES,
    apply=lambda scenario: cured(scenario, client="write_while_reading"),
)
