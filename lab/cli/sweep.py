"""`lab sweep`: plays every point of a grid, and leaves a table and a picture of the cliff."""

import importlib
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli import options, terminal
from lab.cli.command import PLAYED, RESULT, Command, flag
from lab.cli.options import format_flag
from lab.errors import BadInputError, EnvironmentLacksError, SpecError
from lab.installation import to_install

if TYPE_CHECKING:
    from lab.sweep.grid import Grid, Point
    from lab.sweep.row import Row

    PlayAll = Callable[[Iterable[Point], Callable[[Row], None]], None]


_own = partial(flag, of="sweep")


@click.command(
    "sweep",
    cls=Command,
    short_help="Play every point of a grid.",
    examples=[
        ("lab sweep grid.toml", "a table and a picture in the folder grid/"),
        ("lab sweep grid.toml --resume", "go on after an interruption"),
        ("lab sweep grid.toml --cluster tcp://host:8786", "on the workers of a Dask cluster"),
    ],
)
@click.argument("grid", type=click.Path(path_type=Path), metavar="GRID.toml")
@_own("--out", group=RESULT, type=click.Path(path_type=Path), metavar="DIR", help="for them; else GRID without .toml")
@_own("--resume", group=RESULT, is_flag=True, help="go on with the results that are there")
@_own("--cluster", group=PLAYED, metavar="ADDRESS", help="on the Dask cluster of this scheduler, e.g. tcp://host:8786")
@format_flag
def command(*, grid: Path, out: Path | None, resume: bool, cluster: str | None, form: str) -> int:
    """Play every point of GRID.toml: a key is a flag of `lab run` with underscores, a list of values is an axis.

    Further keys: repetitions (of every point), sample (so many points of all, at random), seed.
    """
    from lab.report import swept as report  # noqa: PLC0415 - rich
    from lab.report.progress import ProgressBar  # noqa: PLC0415
    from lab.sweep import results  # noqa: PLC0415
    from lab.sweep.table import RowTable, check_installed  # noqa: PLC0415

    check_installed()
    play_all = _on_cluster(cluster) if cluster else _locally()
    wanted, text = _read(grid)
    folder = out or grid.with_suffix("")
    with closing(
        RowTable(folder, text, lambda kept: _parsed(kept).identity == wanted.identity, resume=resume)
    ) as table:
        points = [point for point in wanted.points(options.specify) if point.key not in table.played]
        began, kept = time.monotonic(), 0
        try:
            with ProgressBar() as bar:

                def keep(row: "Row") -> None:
                    nonlocal kept
                    table.add(row)
                    kept += 1
                    rate = kept / max(time.monotonic() - began, 0.001)
                    done, total = len(table.played), len(wanted)
                    bar.show(done, total, f"{done:,} of {total:,} points, {rate:.1f} a second")

                play_all(points, keep)
        except BaseException:
            # Interrupted, or the disk is full: the rows so far still become tables.
            if kept:
                results.write(table)
                terminal.error(f"{len(table.played)} of {len(wanted)} points are in {folder}; --resume goes on")
            raise
        seconds = time.monotonic() - began
        swept = results.write(table)
    if form == "json":
        from lab.cli.output import document  # noqa: PLC0415

        click.echo(document({"out": str(folder), "played": len(points), "seconds": seconds, **asdict(swept)}))
    else:
        report.show(swept, len(points), seconds)
    return 0


def _read(path: Path) -> "tuple[Grid, str]":
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadInputError(f"{path}: cannot be read ({why}): needs a grid in TOML, see `lab sweep --help`") from None
    try:
        return _parsed(text), text
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


def _parsed(text: str) -> "Grid":
    from lab.sweep import grid  # noqa: PLC0415

    return grid.parse(text, options.flags(), options.specify)


def _locally() -> "PlayAll":
    from lab.kernel.place.netns import may_make_namespaces  # noqa: PLC0415
    from lab.sweep import local  # noqa: PLC0415

    if why := may_make_namespaces():
        raise EnvironmentLacksError(f"lab sweep plays in network namespaces, and {why}: run as root, or on a host")
    return local.play_all


def _on_cluster(address: str) -> "PlayAll":
    try:
        cluster = importlib.import_module("lab.sweep.cluster")
    except ModuleNotFoundError as error:
        raise EnvironmentLacksError(
            f"--cluster needs {error.name}: {to_install('cluster')} installs Dask's distributed"
        ) from None
    return partial(cluster.play_all, address)
