"""`lab judge`: judges runs of the lab from their evidence, and captures from their packets. Needs no privilege."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from lab.cli.command import JUDGED, RESULT, Command, flag
from lab.cli.options import format_flag
from lab.errors import BadInputError, ExitCode, SpecError
from lab.spec import Outcome

if TYPE_CHECKING:
    from lab.verdict import Verdict
    from lab.wire.judge import PacketJudgement

STDIN = Path("-")
ENDINGS = (".pcap", ".pcapng", ".cap", ".dmp")
COMPRESSED = (".gz", ".zst")


class _Shown(Protocol):
    def add(self, path: str, verdict: "Verdict", story: "PacketJudgement | None") -> None: ...

    def close(self, errors: list[tuple[str, str]]) -> None: ...


@click.command(
    "judge",
    cls=Command,
    short_help="Judge runs and captures.",
    codes=JUDGED,
    examples=[
        ("lab judge runs/latest", "the whole report of a run, from its evidence"),
        ("lab judge captures/ more.pcap.gz", "a table of every connection in them"),
        ("lab judge a.pcap --annotate b.pcapng", "comments on the packets that matter, for Wireshark"),
        ("tcpdump -w - | lab judge -", "from standard input"),
    ],
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@flag(
    "--annotate",
    of="judge",
    group=RESULT,
    type=click.Path(path_type=Path),
    metavar="OUT.pcapng",
    help="also write a copy of the one capture given, with comments on the frames that matter, for Wireshark",
)
@format_flag
def command(*, paths: tuple[Path, ...], annotate: Path | None, form: str) -> int:
    """Judge run directories, captures (pcap, pcapng, plain or with gzip or zstd), directories of them, or - for stdin.

    One run is shown with its whole report, several in a table; no older verdict is read. From packets alone a deadlock
    is at most `consistent`.
    """
    if annotate is not None and (len(paths) != 1 or paths[0].is_dir()):
        raise SpecError("--annotate: needs exactly one capture, for example lab judge a.pcap --annotate b.pcapng")
    if form == "text" and len(paths) == 1 and _is_run(paths[0]):
        return _whole_report(paths[0])
    shown: _Shown = _json() if form == "json" else _text()
    outcomes: set[Outcome] = set()
    errors: list[tuple[str, str]] = []
    for path in paths:
        try:
            for found in _found(path):
                try:
                    errors += [(str(found), text) for text in _judge(found, shown, outcomes, annotate)]
                except BadInputError as error:
                    errors.append((str(found), str(error)))
        except BadInputError as error:
            errors.append((str(path), str(error)))
        except OSError as error:
            errors.append((str(path), f"{path}: {error.strerror}"))
    shown.close(errors)
    return _code(outcomes, failed=bool(errors))


def _is_run(path: Path) -> bool:
    from lab import store  # noqa: PLC0415 - msgspec

    return path != STDIN and store.is_run(path)


def _whole_report(run: Path) -> int:
    from lab import store  # noqa: PLC0415 - msgspec
    from lab.proof.judge import judge  # noqa: PLC0415
    from lab.report import text  # noqa: PLC0415 - rich

    evidence = store.load(run)
    verdict = judge(evidence)
    text.show(verdict, evidence, run.resolve(), ())  # runs/latest will soon be another
    return _code({verdict.outcome}, failed=False)


def _json() -> _Shown:
    from lab.cli.output import Connections  # noqa: PLC0415 - msgspec

    return Connections()


def _text() -> _Shown:
    from lab.report.judged import VerdictPage  # noqa: PLC0415 - rich

    return VerdictPage()


def _judge(path: Path, shown: _Shown, outcomes: set[Outcome], annotated: Path | None) -> list[str]:
    """Judge one run or one capture. Returns what of it could not be read."""
    if path != STDIN and path.is_dir():
        from lab import store  # noqa: PLC0415 - msgspec
        from lab.proof.judge import judge  # noqa: PLC0415

        verdict = judge(store.load(path))
        outcomes.add(verdict.outcome)
        shown.add(str(path), verdict, None)
        return []
    from lab.pcap.connections import judge_capture  # noqa: PLC0415 - numpy
    from lab.report.progress import ProgressBar  # noqa: PLC0415

    with ProgressBar() as bar:
        judgement = judge_capture(path, partial(bar.show, text=path.name[-30:]), annotated=annotated)
    for connections in (judgement.stalled, judgement.others):
        for each in connections:
            outcomes.add(each.verdict.outcome)
            shown.add(str(path), each.verdict, each)
    return judgement.errors


def _code(outcomes: set[Outcome], *, failed: bool) -> int:
    """The exit code: bad input before a deadlock, a deadlock before inconclusive."""
    if failed:
        return ExitCode.BAD_INPUT
    if Outcome.DEADLOCK in outcomes:
        return ExitCode.OTHERWISE
    return ExitCode.INCONCLUSIVE if Outcome.INCONCLUSIVE in outcomes else ExitCode.DONE


def _found(path: Path) -> Iterator[Path]:
    """The run or the capture itself, or all runs and captures in the directory, sorted by name."""
    if path == STDIN or path.is_file():
        yield path
        return
    from lab import store  # noqa: PLC0415 - msgspec

    if store.is_run(path):
        yield path
        return
    if not path.exists():
        raise BadInputError(f"{path}: no such file or directory")
    if not path.is_dir():
        yield path  # A pipe, such as <(zcat ...), is read like standard input.
        return
    found = sorted(_within(path))
    if not found:
        raise BadInputError(f"{path}: no run directory and no capture ({', '.join(ENDINGS)}), and none in it")
    yield from found


def _within(folder: Path) -> Iterator[Path]:
    from lab import store  # noqa: PLC0415

    for each in folder.iterdir():
        if each.is_symlink():
            continue
        if each.is_dir():
            if store.is_run(each):
                yield each
            else:
                yield from _within(each)
        elif (Path(each.stem) if each.suffix in COMPRESSED else each).suffix in ENDINGS:
            yield each
