"""An error on both sides: the kernel gives up a connection whose window stays closed, although probes are answered."""

from dataclasses import replace

from lab.remedy import Effect, Remedy
from lab.spec import Outcome

REMEDY = Remedy(
    name="user-timeout",
    summary="the kernel gives the connection up after a second (TCP_USER_TIMEOUT)",
    changes="client: a socket option, and what to do when it fails",
    expected=Effect.ABORTS,
    apply=lambda scenario: replace(scenario, client="user_timeout", expected=Outcome.ABORTED),
)
