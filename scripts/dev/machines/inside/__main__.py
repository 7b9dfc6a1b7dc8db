"""Plays jobs in a place: `python -m machines.inside JOB...`, a row a line for the host."""

import importlib
import os
import sys
import time

from machines.row import to_line, wrong


def main(jobs: list[str]) -> None:
    print(f"kernel {os.uname().release}, {os.uname().version}", flush=True)
    for job in jobs:
        name, *arguments = job.split(":")
        began = time.monotonic()
        try:
            for row in importlib.import_module(f"machines.inside.{name}").play(*arguments):
                print(to_line(row), flush=True)
        except Exception as error:  # noqa: BLE001 - one job that fails is a row, and the next is played
            print(to_line(wrong(name, "to be played", f"{type(error).__name__}: {error}")), flush=True)
        print(f"step {name} {time.monotonic() - began:.0f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
