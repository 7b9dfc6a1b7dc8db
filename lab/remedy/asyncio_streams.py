"""The reader thread without a thread: asyncio runs the reader while drain() keeps the writer waiting."""

from lab.remedy import Effect, Remedy, cured

REMEDY = Remedy(
    name="asyncio-streams",
    summary="the client writes with drain() in one task and reads in another",
    changes="client: two tasks, await everywhere",
    expected=Effect.CURES,
    apply=lambda scenario: cured(scenario, client="asyncio_streams"),
)
