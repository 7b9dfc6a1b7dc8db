"""A reader task instead of a reader thread: asyncio runs it while the writer waits in drain()."""

from lab.remedy import Effect, Remedy, cured

REMEDY = Remedy(
    name="asyncio-streams",
    summary="the client writes with drain() in one task and reads in another",
    changes="client: two tasks, await everywhere",
    expected=Effect.CURES,
    apply=lambda scenario: cured(scenario, client="asyncio_streams"),
)
