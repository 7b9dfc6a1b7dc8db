"""One request, then one answer: the two programs never write at the same time. It costs the server memory."""

from lab.remedy import Effect, Remedy, cured

REMEDY = Remedy(
    name="half-close-first",
    summary="the server answers only after the client's half-close",
    changes="server and protocol: keeps the whole request",
    expected=Effect.CURES,
    apply=lambda scenario: cured(scenario, server="after_request"),
)
