"""An error instead of a hang, on one side. The connection stays open, and the other side stays in its send."""

from dataclasses import replace

from lab.remedy import Effect, Remedy
from lab.spec import Outcome

REMEDY = Remedy(
    name="send-timeout",
    summary="the client's send fails after a second (SO_SNDTIMEO); the server stays frozen",
    changes="client: a socket option, and what to do when it fails",
    expected=Effect.ABORTS,
    apply=lambda scenario: replace(scenario, client="send_timeout", expected=Outcome.ABORTED),
)
