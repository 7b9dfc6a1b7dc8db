"""The zero-window lab: a scenario is played on a testbed, everything observable is written down as evidence,
and a pure function reads the evidence and returns a verdict.

From Python, `run` is `lab run`, and `judge` is `lab judge` for a run directory:

    from lab import judge, run

    played = run("upper", so_rcvbuf="8KiB", so_sndbuf="8KiB", send_size=1024, runs="runs")
    print(played.verdict.outcome, played.verdict.grade, played.verdict.account.client_accepted)
    print(judge("runs/latest").outcome)

The rooms:

* `spec`: what is intended. `evidence`: what was observed. `errors`: whose fault it is.
* `tcp`: a TCP connection seen from outside. `proof`: from evidence to verdict. `forecast`: where the freeze must come.
* `scenario`, `remedy`: one file each; what is played, and what cures it.
* `kernel`: every word spoken with Linux. `pcap`: capture files. `store`: a run on disk. `report`: text for people.
* `testbed`: where a spec is played. `endpoint`: the two programs, which import nothing else of this package.
* `foretelling`: the forecast by the settings of this host, without a run.
* `experiment`: plays one spec on one testbed. `playing`: plays and judges it. `sweep`: a grid of specs, one row each.
* `observer`: samples one pair while it is played. `watching`: judges connections of other programs.
* `comparison`: a scenario with and without remedies. `limits`: the published table of buffers, measured.
* `cli`: the command line. `doctor`: what works here and why not.
* `wire`: what packets alone say. `verdict`: what a judgement says. `reason`: why, as values.
* `syscalls`: the system calls that are understood. `run_format`: older runs. `version`: of the lab.
* `installation`: a clone, or a package.
"""

TYPE_CHECKING = False  # typing is not imported for it: an endpoint imports this module before all else
if TYPE_CHECKING:
    from pathlib import Path

    from lab.playing import Played
    from lab.verdict import Verdict


def run(
    scenario: str = "upper", *, testbed: str = "netns", runs: "Path | str | None" = None, **options: object
) -> "Played":
    """Play a scenario and judge it. The options are the flags of `lab run`, with underscores.

    The values of a flag that may be repeated are joined by `;`, as in `so_rcvbuf="client=64KiB;server=4096"`. A run
    directory is written into the folder `runs`, if one is given. Raises an error of `lab.errors`.
    """
    from pathlib import Path  # noqa: PLC0415

    from lab.cli.options import specify  # noqa: PLC0415
    from lab.playing import play_and_judge  # noqa: PLC0415

    spec = specify({"scenario": scenario} | {name: str(value) for name, value in options.items()}, testbed)
    return play_and_judge(spec, runs=Path(runs) if runs else None)


def judge(run: "Path | str") -> "Verdict":
    """Judge a run directory from its evidence. Raises BadInputError."""
    from pathlib import Path  # noqa: PLC0415

    from lab import store  # noqa: PLC0415
    from lab.proof.judge import judge as verdict_on  # noqa: PLC0415

    return verdict_on(store.load(Path(run)))
