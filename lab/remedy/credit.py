"""A window of the application's own, smaller than what the buffers hold: an answer is credit for another message."""

from lab.remedy import Effect, Remedy, cured

REMEDY = Remedy(
    name="credit",
    summary="the client keeps at most 4 KiB unanswered: a window of the application's own",
    changes="client and protocol: a bound on what is unanswered",
    expected=Effect.CURES,
    apply=lambda scenario: cured(scenario, client="credit"),
)
