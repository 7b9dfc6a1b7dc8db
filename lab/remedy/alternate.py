"""The first published cure: recv after each send. It holds while one message and its answer fit into the buffers."""

from lab.remedy import Effect, Remedy, cured

REMEDY = Remedy(
    name="alternate",
    summary="the client reads the answer to each message before it sends the next",
    changes="client: a recv after each send; a round trip a message",
    expected=Effect.CURES,
    apply=lambda scenario: cured(scenario, client="alternate"),
)
