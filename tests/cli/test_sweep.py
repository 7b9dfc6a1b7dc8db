"""`lab sweep`: what ends it leaves a table that can be used, and --resume makes it whole."""

import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.cli import sweep
from lab.errors import EnvironmentLacksError
from tests.commanded import is_one_line, lab
from tests.sweep.killed import GRID, kill_and_go_on
from tests.sweep.swept import SQUEEZED, Sweeping, points, table
from tests.waiting import seen


@pytest.mark.root
def test_a_sweep_tells_what_came_of_it_and_goes_on_if_asked(tmp_path: Path) -> None:
    grid = tmp_path / "small.toml"
    grid.write_text(SQUEEZED + 'payload = ["4KiB", "1MiB"]\n')
    said = lab("sweep", grid, "--format", "json")
    assert said.code == 0, said.err
    assert said.json["points"] == said.json["played"] == 2
    assert {each["outcome"] for each in said.json["counts"]} == {"deadlock", "completed"}
    assert (said.json["failed"], said.json["wrong"]) == (0, 0)
    assert [outcome for *_, outcome in table(tmp_path / "small")] in (
        ["deadlock", "completed"],
        ["completed", "deadlock"],
    )
    again = lab("sweep", grid)
    assert again.code == 2
    assert is_one_line(again)
    assert "--resume" in again.err
    more = lab("sweep", grid, "--resume")
    assert more.code == 0
    assert "0 points played, 2 were there already" in more.out
    grid.write_text(SQUEEZED + 'payload = ["4KiB", "2MiB"]\n')
    other = lab("sweep", grid, "--resume")
    assert other.code == 2
    assert is_one_line(other)
    assert "another grid" in other.err


@pytest.mark.root
def test_ctrl_c_leaves_a_table_and_resume_makes_it_the_same_as_without(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(GRID)
    out = tmp_path / "out"
    with ExitStack() as stack:
        sweeping = Sweeping(stack, tmp_path / "grid.toml", "--out", out, "--format", "json")
        log = out / "points.jsonl"

        def rows() -> int:
            assert sweeping.process.poll() is None
            return log.read_bytes().count(b"\n") if log.exists() else 0

        seen(rows, lambda rows: rows >= 3)
        said = sweeping.end(signal.SIGINT)
    assert (said.code, said.out) == (130, "")
    assert "--resume goes on" in said.err
    keys = {point.key for point in points(GRID)}
    assert {key for key, *_ in table(out)} < keys
    assert lab("sweep", tmp_path / "grid.toml", "--out", out, "--resume").code == 0
    assert sorted(key for key, *_ in table(out)) == sorted(keys)


@pytest.mark.root
def test_a_sweep_that_is_killed_goes_on_to_the_full_table_and_leaves_nothing(tmp_path: Path) -> None:
    """The long form is `python -m tests.sweep.killed 20`."""
    assert kill_and_go_on(tmp_path, kills=2, seed=7) > 0


@pytest.mark.parametrize(("text", "says"), [(None, "cannot be read"), ("ip = 4\nip = [", "line 2"), ("ip = 5", "ip")])
def test_a_grid_that_is_none_is_one_line_and_exits_2(tmp_path: Path, text: str | None, says: str) -> None:
    grid = tmp_path / "grid.toml"
    if text is not None:
        grid.write_text(text)
    said = lab("sweep", grid)
    assert said.code == 2
    assert is_one_line(said)
    assert str(grid) in said.err
    assert says in said.err


def test_without_dask_a_cluster_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lab.sweep.cluster", None)
    with pytest.raises(EnvironmentLacksError, match="scripts/setup --venv cluster"):
        sweep._on_cluster("tcp://127.0.0.1:8786")
