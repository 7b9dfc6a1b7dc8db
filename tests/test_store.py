"""A run that is read back is the run that was written, and is judged the same; damage is said, with its line."""

import json
import os
import shutil
import stat
import subprocess
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.cli.output import connections_json
from lab.errors import BadInputError, StoreError
from lab.proof.judge import judge
from lab.report.contract import as_contract
from lab.report.reasons import all_words
from lab.spec import Grade, Outcome, Pair, Spec
from lab.store import SAMPLES, Run, is_run, load
from tests.commanded import small_disk
from tests.played import SQUEEZED, frames, keep, played, recorded, spec_of, specified, yielded
from tests.waiting import LIMIT_S

FULL: dict[str, Any] = {"capture": "full", "send_size": "1024", "snaplen": 1000}
"""A freeze with all its packets: some hundred KiB. Larger messages, as in `SQUEEZED`."""

NAMES = ["upper", "echo", "healthy", "idle", "one-sided-stall", "read-read", "slow-reader"]


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """The run directory of a freeze."""
    return recorded(tmp_path, yielded("upper", **SQUEEZED))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_back_is_what_was_written_and_is_judged_the_same(tmp_path: Path, name: str) -> None:
    run = recorded(tmp_path, yielded(name))
    evidence = load(run)
    assert evidence == played(name)
    verdict = judge(evidence)
    assert verdict == judge(played(name))
    written = json.loads((run / "verdict.json").read_text())
    knot = 0 if verdict.cycle and verdict.grade else None
    told = json.loads(connections_json([(None, verdict)], []))["connections"][0]
    assert {"path": None, "knot": knot} | written == told


@pytest.mark.parametrize(
    "flags", [{"testbed": "loopback"}, {"ip": "6", **SQUEEZED}, {"capture": "full", "snaplen": 4000, "payload": "64k"}]
)
def test_the_same_on_other_testbeds_and_with_other_options(tmp_path: Path, flags: dict[str, Any]) -> None:
    evidences = yielded("upper", **flags)
    evidence = load(recorded(tmp_path, evidences))
    assert evidence == evidences[-1]
    assert judge(evidence) == judge(evidences[-1])


def test_a_run_directory_holds_what_the_design_says(frozen: Path) -> None:
    assert {path.name for path in frozen.iterdir()} >= {
        "spec.json",
        "manifest.json",
        "wire.pcapng",
        "sockets.jsonl",
        "threads.jsonl",
        "progress.jsonl",
        "client.log",
        "server.log",
        "verdict.json",
    }
    assert is_run(frozen)
    assert not is_run(frozen.parent)
    assert (frozen.parent / "latest").resolve() == frozen.resolve()
    assert os.readlink(frozen.parent / "latest") == frozen.name, "relative: the folder may be moved"


def created(runs: Path, spec: Spec) -> Path:
    with closing(Run.create(runs, spec)) as run:
        return run.path


def test_latest_is_the_newest_and_nothing_is_overwritten(tmp_path: Path) -> None:
    spec = specified()
    paths = [created(tmp_path, spec) for _ in range(5)]
    assert len(set(paths)) == 5
    assert (tmp_path / "latest").resolve() == paths[-1].resolve()
    assert len(list(tmp_path.iterdir())) == 6


def test_when_the_newest_goes_again_latest_is_the_one_before(tmp_path: Path) -> None:
    """A setting that the kernel refuses leaves no run; `lab judge runs/latest` is of the last one that there is."""
    first = created(tmp_path, specified())
    for _ in range(2):
        Run.create(tmp_path, specified()).discard()
        assert (tmp_path / "latest").resolve() == first.resolve()
    shutil.rmtree(first)
    Run.create(tmp_path, specified()).discard()
    assert not list(tmp_path.iterdir())


def test_a_run_that_was_killed_is_judged_by_what_was_seen_until_then(tmp_path: Path) -> None:
    evidences = yielded("one-sided-stall", until="1.5")
    with closing(Run.create(tmp_path, spec_of(evidences[-1]))) as run:
        with pytest.raises(BadInputError, match=r"no manifest\.json.*did the run end"):
            load(run.path)
        keep(run, evidences[:-1])
    assert not [path.name for path in run.path.iterdir() if path.name.startswith(".")]
    assert (run.path / "sockets.jsonl").read_text().endswith("\n")
    seen = load(run.path)
    assert len(seen.snapshots) >= 2
    assert seen.snapshots == evidences[-1].snapshots[: len(seen.snapshots)]
    verdict = judge(seen)
    assert (verdict.outcome, verdict.witnesses.wire) == (Outcome.ONE_SIDED_STALL, "missing")
    assert all_words(verdict.missing) == ("what came later: the run was killed before its end",)
    assert (verdict.age_s or 0) > 0
    assert verdict.wire.frames == len(frames(evidences[-1]))
    assert verdict.wire.dropped is None


def test_a_capture_that_a_kill_cut_in_the_middle_of_a_packet_is_read_until_there(tmp_path: Path) -> None:
    evidences = yielded("one-sided-stall", until="1.5")
    with closing(Run.create(tmp_path, spec_of(evidences[-1]))) as run:
        keep(run, evidences[:-1])
    os.truncate(run.path / "wire.pcapng", (run.path / "wire.pcapng").stat().st_size - 7)
    assert judge(load(run.path)).wire.frames == len(frames(evidences[-1])) - 1


def test_packets_that_are_not_in_the_file_are_lost_for_whoever_judges_it(frozen: Path) -> None:
    """Whole records, and fewer than the manifest says: somebody has cut it."""
    before = judge(load(frozen))
    with (frozen / "wire.pcapng").open("r+b") as stream:
        stream.seek(-4, os.SEEK_END)
        stream.truncate(stream.tell() + 4 - int.from_bytes(stream.read(4), "little"))
    after = judge(load(frozen))
    assert (before.wire.dropped, after.wire.dropped) == (0, 1)
    assert (before.wire.frames, after.wire.frames) == (after.wire.frames and after.wire.frames + 1, after.wire.frames)
    assert (before.witnesses.wire, after.witnesses.wire) == ("agrees", "missing")


def test_a_run_whose_capture_goes_on_in_other_files_is_judged_the_same(tmp_path: Path) -> None:
    evidences = yielded("upper", **FULL)
    split = tuple(replace(each, spec=replace(spec_of(each), capture_size=1 << 17)) for each in evidences)
    run = recorded(tmp_path, split)
    files = sorted(path.name for path in run.glob("wire*"))
    assert files[-1] == "wire.pcapng"
    assert "wire.1.pcapng" in files
    assert max((run / name).stat().st_size for name in files) <= (1 << 17) + 100, "the last comment comes on top"
    evidence = load(run)
    assert evidence == split[-1]
    assert judge(evidence) == judge(evidences[-1])
    commented = [row for name in files for row in comments(run / name)]
    assert sum("first zero window" in text for text in commented) == 2
    assert sum("last frame before the seal" in text for text in commented) == 1
    (run / "wire.1.pcapng").unlink()
    assert judge(load(run)).witnesses.wire == "missing"


def test_the_packets_of_the_proof_carry_comments(frozen: Path) -> None:
    texts = comments(frozen / "wire.pcapng")
    for part in ("first zero window of the client", "first zero window of the server", "last frame before the seal"):
        assert sum(part in text for text in texts) == 1
    assert any("probe 1 of the" in text for text in texts)


def comments(path: Path) -> list[str]:
    command = ["tshark", "-n", "-r", str(path), "-Y", "frame.comment", "-T", "fields", "-e", "frame.comment"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    return done.stdout.splitlines()


def test_an_older_verdict_is_not_looked_at(frozen: Path) -> None:
    (frozen / "verdict.json").write_text('{"outcome": "completed"}')
    assert judge(load(frozen)).outcome is Outcome.DEADLOCK
    (frozen / "verdict.json").unlink()
    assert judge(load(frozen)).outcome is Outcome.DEADLOCK


@pytest.mark.parametrize("name", ["sockets", "threads", "progress"])
def test_a_last_line_that_was_cut_is_passed_over(frozen: Path, name: str) -> None:
    """A kill in the middle of a write: what stands before it is whole."""
    file = frozen / f"{name}.jsonl"
    before = load(frozen)
    data = file.read_bytes()
    file.write_bytes(data + data.splitlines()[-1][:40])
    assert load(frozen) == before


@pytest.mark.parametrize("name", ["sockets", "threads", "progress"])
@pytest.mark.parametrize(
    "damage", [b"", b"{", b"\xff\xfe", b'{"snapshot": 1, "sample": {}}', b"[]", b'{"snapshot": "1"}']
)
def test_a_damaged_line_is_named(frozen: Path, name: str, damage: bytes) -> None:
    file = frozen / f"{name}.jsonl"
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([*lines[:2], damage, *lines[3:]]) + b"\n")
    with pytest.raises(BadInputError, match=rf"{name}\.jsonl: line 3: "):
        load(frozen)


def test_a_run_holds_resources_as_texts(frozen: Path) -> None:
    lines = (json.loads(line)["sample"] for line in (frozen / "holders.jsonl").read_text().splitlines())
    held = {text for holders in lines for process in holders["processes"] or () for text in process["resources"]}
    inodes = {sample.inode for shot in load(frozen).snapshots for sample in shot.sockets if sample}
    assert {f"socket:{inode}" for inode in inodes} <= held


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("threads", "wait", {"call": "read", "items": [{"resource": "tube:1", "wants": "read"}]}),
        ("holders", "peers", {"unix:1": "unix:x"}),
        ("holders", "peers", {"": "unix:1"}),
    ],
)
def test_what_is_no_resource_is_bad_input(frozen: Path, name: str, key: str, value: object) -> None:
    file = frozen / f"{name}.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[1]["sample"][key] = value
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(BadInputError, match=rf"{name}\.jsonl: line 2: "):
        load(frozen)


@pytest.mark.parametrize("name", ["spec.json", "manifest.json", "sockets.jsonl", "threads.jsonl", "wire.pcapng"])
def test_a_missing_or_empty_file_is_bad_input(frozen: Path, name: str) -> None:
    data = (frozen / name).read_bytes()
    (frozen / name).unlink()
    with pytest.raises(BadInputError, match=name.replace(".", r"\.")):
        load(frozen)
    if not name.endswith(".jsonl"):
        (frozen / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(BadInputError, match=name.replace(".", r"\.")):
            load(frozen)


def test_a_spec_that_is_impossible_is_bad_input(frozen: Path) -> None:
    spec = json.loads((frozen / "spec.json").read_text())
    spec["scenario"]["load"]["payload"] = -1
    (frozen / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(BadInputError, match="payload -1"):
        load(frozen)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("settings", "client", "sysctls", "tcp_rmem"), "9" * 5000),
        (("settings", "client", "sysctls", "tcp_wmem"), "4096 x 8192"),
        (("settings", "server", "sysctls", "tcp_wmem"), "4096"),
        (("core", "rmem_max"), ""),
        (("max_tcp_header",), -1),
        (("max_tcp_header",), 1 << 40),
        (("release",), f"{'9' * 5000}.1"),
        (("connected", "client", "local"), ""),
        (("connected", "server", "remote"), "198.18.20.20:port"),
    ],
)
def test_what_no_kernel_says_is_bad_input(frozen: Path, place: tuple[str, ...], value: object) -> None:
    manifest = json.loads((frozen / "manifest.json").read_text())
    around = manifest
    for key in place[:-1]:
        around = around[key]
    around[place[-1]] = value
    (frozen / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadInputError, match=rf"manifest\.json: {place[-1]}: no kernel says"):
        load(frozen)


@pytest.mark.parametrize(("key", "value"), [("remote", "\u0663"), ("local", "1.2.3.4:99999"), ("snd_mss", 1 << 70)])
def test_a_socket_that_no_kernel_has_is_bad_input(frozen: Path, key: str, value: object) -> None:
    first, *others = (frozen / "sockets.jsonl").read_text().splitlines()
    line = json.loads(first)
    line["sample"][key] = value
    (frozen / "sockets.jsonl").write_text("\n".join([json.dumps(line), *others, ""]))
    with pytest.raises(BadInputError, match=rf"sockets\.jsonl: {key}: no kernel says"):
        load(frozen)


def test_one_altered_sample_changes_the_verdict(frozen: Path) -> None:
    file = frozen / "sockets.jsonl"
    *lines, last = file.read_text().splitlines()
    sample = json.loads(last)
    sample["sample"]["wmem_queued"] = 0
    file.write_text("\n".join([*lines, json.dumps(sample)]) + "\n")
    before = judge(played("upper", **SQUEEZED))
    after = judge(load(frozen))
    assert (before.grade, after.grade == before.grade) == (Grade.PROVEN, False)


def test_a_wire_of_another_run_changes_the_verdict(frozen: Path, tmp_path: Path) -> None:
    """Its addresses are not those of the sockets: it says nothing of them, and is no witness for them."""
    before = judge(load(frozen))
    other = recorded(tmp_path, yielded("idle"))
    (other / "wire.pcapng").replace(frozen / "wire.pcapng")
    after = judge(load(frozen))
    assert (before.witnesses.wire, before.witnesses.wire is after.witnesses.wire) == ("agrees", False)
    assert after.wire.zero_windows == Pair(0, 0)


def test_a_place_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StoreError, match=r"cannot write into .*--runs or LAB_RUNS") as raised:
        Run.create(blocked, specified())
    assert "\n" not in str(raised.value)
    with pytest.raises(StoreError):
        Run.create(Path("/proc/nowhere"), specified())


def test_a_latest_that_cannot_be_replaced_is_said_and_nothing_of_the_attempt_stays(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "something").write_text("")
    with pytest.raises(StoreError, match=r"cannot point .*latest"):
        Run.create(tmp_path, specified())
    assert not [path for path in tmp_path.iterdir() if path.is_symlink()]


def test_a_folder_that_vanishes_in_mid_run_is_a_store_error(tmp_path: Path) -> None:
    evidences = yielded("idle")
    run = Run.create(tmp_path, spec_of(evidences[-1]))
    shutil.rmtree(run.path)
    with pytest.raises(StoreError, match="cannot write"):
        run.finish(evidences[-1], None, {})


@pytest.mark.root
@pytest.mark.parametrize("size", [(1 << 20) + (spare << 10) for spare in (36, 60, 100)])
def test_a_disk_that_fills_up_ends_the_capture_and_not_the_judgement(tmp_path: Path, size: int) -> None:
    """The first has no room for the samples either. What is there is whole, is read, and says what is not there."""
    evidences = yielded("upper", **FULL)
    with small_disk(tmp_path, size) as runs:
        run = Run.create(runs, spec_of(evidences[-1]))
        keep(run, evidences)
        with pytest.raises(StoreError, match=r"cannot write .*: No space left on device; not kept: .* packets"):
            run.finish(evidences[-1], as_contract(judge(evidences[-1])), {})
        assert json.loads((run.path / "verdict.json").read_text())["grade"] == "proven"
        assert not [path.name for path in run.path.iterdir() if path.name.startswith(".")]
        assert all((run.path / f"{name}.jsonl").read_bytes()[-1:] in (b"\n", b"") for name in SAMPLES)
        evidence = load(run.path)
        verdict = judge(evidence)
        captured = len(frames(evidences[-1]))
        assert evidence.capture is not None
        assert (evidence.capture.frames + (evidence.capture.dropped or 0)) == captured
        assert evidence.snapshots[-1] == evidences[-1].snapshots[-1]
        assert (verdict.outcome, verdict.grade, verdict.witnesses.wire) == ("deadlock", "proven", "missing")
        assert any(
            f"of {captured:,} captured packets, for which the disk had no room" in each
            for each in all_words(verdict.missing)
        )


@pytest.mark.root
def test_a_disk_that_is_full_is_said_before_anything_is_played(tmp_path: Path) -> None:
    with small_disk(tmp_path, 1 << 19) as runs:
        with pytest.raises(StoreError, match=r"cannot write into .*No space left on device.*--runs or LAB_RUNS"):
            Run.create(runs, specified())
        assert list(runs.iterdir()) == []


def test_root_leaves_a_run_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    os.chown(runs, 1234, 5678)
    run = recorded(runs, yielded("idle"))
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (run, *run.iterdir())}
    assert owners == {(1234, 5678)}


def test_a_run_can_be_read_by_whoever_may_enter_the_folder(frozen: Path) -> None:
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o444 for path in frozen.iterdir())


def test_nobody_else_may_write_into_a_run_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(Run.create(tmp_path / "runs", specified())) as run:
            run.extend(yielded("idle")[-1])
    finally:
        os.umask(before)
    for path in (run.path.parent, run.path, *run.path.iterdir()):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o022, path


@pytest.mark.parametrize("name", [".manifest.json.unfinished", "sockets.jsonl"])
def test_a_planted_link_is_not_followed(tmp_path: Path, name: str) -> None:
    """In a folder of somebody else's, who would like root to write over this file."""
    evidences = yielded("idle")
    precious = tmp_path / "precious"
    precious.write_text("mine")
    run = Run.create(tmp_path / "runs", spec_of(evidences[-1]))
    (run.path / name).unlink(missing_ok=True)
    (run.path / name).symlink_to(precious)
    with suppress(StoreError):
        run.extend(evidences[-1])
        run.finish(evidences[-1], None, {})
    assert precious.read_text() == "mine"


def test_what_is_given_away_is_not_what_a_link_points_to(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    os.chown(runs, 1234, 5678)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    with closing(Run.create(runs, specified())) as run:
        (run.path / "planted").symlink_to(precious)
        run._give(run.path / "planted")
    assert precious.stat().st_uid == os.geteuid()
    assert (run.path / "planted").lstat().st_uid == 1234


def test_a_latest_of_somebody_elses_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "something").write_text("")
    with pytest.raises(StoreError, match="give another folder"):
        Run.create(tmp_path, specified())
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]


@pytest.mark.parametrize("name", ["spec.json", "manifest.json", "threads.jsonl", "wire.pcapng", "client.log"])
def test_a_run_directory_with_a_pipe_in_it_is_not_waited_for(tmp_path: Path, name: str) -> None:
    run = recorded(tmp_path, yielded("idle"))
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises(BadInputError, match="is a device, a pipe or a folder, and no file"):
        load(run)
