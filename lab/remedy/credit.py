"""Flow control in the application: its window is smaller than the buffers, and an answer is credit for a message."""

from lab.remedy import Effect, Remedy, cured

REMEDY = Remedy(
    name="credit",
    summary="the client keeps at most 4 KiB unanswered: a window of the application's own",
    changes="client and protocol: a bound on what is unanswered",
    expected=Effect.CURES,
    apply=lambda scenario: cured(scenario, client="credit"),
)
