"""What scripts/dev/places does with its arguments."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from machines import boot, table
from machines.debian import PlaceError
from machines.place import PLACES, SHORT, Place
from machines.row import to_line, wrong
from machines.table import Played

WORKS, WRONG, NOT_HERE = 0, 1, 4


def main(arguments: Sequence[str], description: str, project: Path) -> int:
    parser = _parser(description, project)
    options = parser.parse_args(arguments)
    known = {place.name: place for place in PLACES}
    for name in options.places:
        if name not in known:
            parser.error(f"there is no place '{name}'; --list names them")
    if options.list:
        print("\n".join(table.listed(PLACES)))
        return WORKS
    chosen = [known[name] for name in dict.fromkeys(options.places)] or list(PLACES)
    if options.run and len(options.places) != 1:
        parser.error("--run needs one place")
    if options.jobs < 1 or (options.times is not None and options.times < 1):
        parser.error("--jobs and --times need a number of 1 or more")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        _check_machine(install=options.install)
        if options.run:
            job = boot.file(options.run, options.tree, options.limit)
            return boot.boot(chosen[0], job, lambda line: print(line, flush=True))
        played = _all_played([_with_options(place, options) for place in chosen], options)
    except (PlaceError, boot.UnfinishedError) as error:
        print(f"places: {error}", file=sys.stderr)
        return NOT_HERE
    print("\n".join(table.summary(played)))
    if options.markdown:
        table.write_markdown(options.markdown, played, _commit(options.tree))
    return WORKS if all(each.is_right for each in played) else WRONG


def _commit(tree: Path) -> str:
    """Of the clone that was played."""
    told = subprocess.run(
        ["git", "-C", tree, "describe", "--always", "--dirty=, changed since"],
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or "unknown"


def _parser(description: str, project: Path) -> argparse.ArgumentParser:
    first, _, rest = description.partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="scripts/dev/places", description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("places", nargs="*", metavar="PLACE", help="a name of --list; all if none")
    parser.add_argument("--list", action="store_true", help="name the places and boot none")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="places side by side (default 1)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--short", action="store_true", help="play three scenarios only")
    what.add_argument("--times", type=int, metavar="N", help="play the frozen pairs N times each, and nothing else")
    what.add_argument("--only", action="append", metavar="JOB", help="play this job of machines/inside only")
    what.add_argument("--run", type=Path, metavar="FILE", help="run this Python file in the one place")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table into this file, between its marks"
    )
    parser.add_argument(
        "--tree", type=Path, default=project, metavar="DIR", help="the clone to play (default this one)"
    )
    parser.add_argument("--limit", type=float, default=1800, metavar="SECONDS", help="for each place (default 1800)")
    parser.add_argument("--install", action="store_true", help="apt-get install QEMU if it is missing")
    return parser


def _with_options(place: Place, options: argparse.Namespace) -> Place:
    if options.short:
        return replace(place, jobs=SHORT, docker=False)
    if options.times:
        return replace(place, jobs=(f"repeated:{options.times}",), docker=False)
    return replace(place, jobs=tuple(options.only)) if options.only else place


def _all_played(places: Sequence[Place], options: argparse.Namespace) -> list[Played]:
    """In order; interrupted, the machines are ended first, and not waited for."""
    with ThreadPoolExecutor(options.jobs) as pool:
        try:
            return list(pool.map(lambda place: _played(place, options), places))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            boot.end_all()
            raise


def _played(place: Place, options: argparse.Namespace) -> Played:
    """Plays it, and shows each row as it comes."""
    played = Played(place)
    try:
        played.code = boot.boot(place, boot.jobs(place, options.tree, options.limit), played.hear)
    except boot.UnfinishedError as error:
        played.hear(to_line(wrong("the place itself", "an end", str(error))))
    return played


def _check_machine(*, install: bool) -> None:
    if os.geteuid() != 0:
        raise PlaceError("needs root, for a root file system of root's files: sudo scripts/dev/places")
    if shutil.which(boot.QEMU):
        return
    if not install or shutil.which("apt-get") is None:
        raise PlaceError("QEMU is missing: apt-get install qemu-system-x86, or give --install")
    print("places: installing qemu-system-x86 with apt-get", file=sys.stderr)
    quiet = ("-qq", "-y", "--no-install-recommends")
    install_it = ("apt-get", "install", *quiet, "qemu-system-x86")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    if subprocess.run(install_it, stdout=sys.stderr, env=environment, check=False).returncode != 0:
        raise PlaceError("apt-get could not install qemu-system-x86")
