"""Kills a sweep at random instants, goes on with it each time, and holds its table against one that nobody killed.

Long form: `python -m tests.sweep.killed 20`, as root.
"""

import random
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.commanded import endpoints, lab, parent_of
from tests.sweep.swept import SQUEEZED, Sweeping, points, table

GRID = SQUEEZED + 'payload = ["4KiB", "8KiB", "512KiB", "1MiB"]\nrepetitions = 6\n'


def kill_and_go_on(folder: Path, kills: int, seed: int) -> int:
    """Kill it up to `kills` times, each time after a while, and let it end; how often it was killed before it did."""
    draw = random.Random(seed)
    (folder / "grid.toml").write_text(GRID)
    out, killed = folder / "out", 0
    while killed < kills:
        with ExitStack() as stack:
            sweep = Sweeping(stack, folder / "grid.toml", "--out", out, "--resume")
            time.sleep(draw.uniform(0.1, 4.0))
            if sweep.process.poll() is not None:
                break
            sweep.end(signal.SIGKILL)
            killed += 1
    done = lab("sweep", folder / "grid.toml", "--out", out, "--resume", "--format", "json")
    assert done.code == 0, done.err
    restored = lab("restore")
    assert restored.code == 0, restored
    assert not {pid for pid in endpoints() if parent_of(pid) == 1}
    wanted = sorted((point.key, point.spec.scenario.load.payload) for point in points(GRID))
    found = table(out)
    assert [(key, payload) for key, payload, _ in found] == wanted, "a point is missing, or twice in the table"
    assert all(outcome == ("completed" if payload <= 8192 else "deadlock") for _, payload, outcome in found), found
    return killed


def main() -> int:
    for seed in range(int(sys.argv[1])):
        with tempfile.TemporaryDirectory() as folder:
            killed = kill_and_go_on(Path(folder), 1, seed)
        print(f"seed {seed}: killed {killed} times, and the table is whole", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
