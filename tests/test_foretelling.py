"""What is foretold of a spec that is not played is what its run would be judged by."""

from lab.forecast import expected
from lab.foretelling import foretell
from lab.playing import play_and_judge
from lab.spec import Outcome
from tests.played import SQUEEZED, specified


def test_the_forecast_is_the_same_with_and_without_a_run() -> None:
    spec = specified("upper", until="proof", **SQUEEZED)
    played = play_and_judge(spec)
    assert played.verdict.forecast == foretell(spec)
    assert played.expected == expected(spec, foretell(spec)) == (Outcome.DEADLOCK,)


def test_a_forecast_follows_the_settings_of_a_spec_that_is_not_played() -> None:
    small, large = (foretell(specified("upper", so_rcvbuf=(size,), so_sndbuf=(size,))) for size in ("8k", "64k"))
    assert (small.client_accepted.point or 0) < (large.client_accepted.point or 0)
    assert foretell(specified("healthy")).client_accepted.high is None
