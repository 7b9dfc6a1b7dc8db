"""One run and one fault at a random instant. Afterwards everything is as before, or the trial says what is not."""

import contextlib
import io
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.campaign.faults import BROKE_AWAY, BY_SIGINT, INTERRUPTED, PLAYED, Fault
from tests.campaign.fingerprint import TUNED, Scope, differences
from tests.campaign.ground import Ground
from tests.campaign.scene import NoTargetError, Scene
from tests.commanded import environment

END_S = 100.0
"""The limit for a run to end after a fault; one that takes longer hangs."""

SQUEEZED = ("--tcp-rmem", TUNED, "--tcp-wmem", TUNED, "--send-size", "1024")
PLAYS = (("upper", *SQUEEZED), ("echo", *SQUEEZED), ("healthy",), ("slow-reader",))
MAY_BE = {
    "upper": {"deadlock"},
    "echo": {"deadlock"},
    "healthy": {"completed", "moving"},
    "slow-reader": {"slow-reader", "moving"},
}
"""The outcome of a run without a fault. With a fault it may also be one of OTHERWISE, but never another of these."""
OTHERWISE = {"aborted", "blackhole", "suspended", "inconclusive", "moving", "slow-reader", "one-sided-stall", "idle"}
NO_RUN = "no run directory"
UNTILS = ("proof", "probes", "2", "3")


@dataclass(frozen=True, slots=True)
class Trial:
    """What was done, and its result. Without differences everything is as before."""

    seed: int
    fault: str
    ground: str
    play: str
    instant_s: float
    injected: bool
    """Whether the run was still under way when the fault came."""
    code: int
    said: str
    """The last line on standard error."""
    judged: str
    """What `lab judge` says about the run directory: an outcome, or why it cannot be judged."""
    removed: int
    """How much `lab restore` had to remove."""
    run_s: float
    """From the start of the run to its end."""
    took_s: float
    differences: tuple[str, ...]


def tried(seed: int, fault: Fault, ground: Ground, net: str, *, alone: bool) -> Trial:
    dice = random.Random(seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zero-window-campaign-")))
        folder.chmod(0o755)
        for name in ("runs", "tmp"):
            (folder / name).mkdir()
            os.chown(folder / name, ground.owner, ground.owner)
        scope = Scope(net, (folder / "tmp", ground.project / "lab", ground.project / "runs"), alone)
        before = scope.look()
        scene = Scene(ground, net, folder, folder / "runs", dice)
        with fault.prepared(scene):
            trial = _run_with(seed, fault, scene)
        return replace(trial, differences=(*trial.differences, *differences(scope, before)))


def _run_with(seed: int, fault: Fault, scene: Scene) -> Trial:
    dice, began = scene.dice, time.monotonic()
    scenario, *flags = dice.choice(PLAYS)
    form, until = dice.choice(("text", "json")), dice.choice(UNTILS)
    words = ["run", scenario, *flags, "--testbed", scene.ground.testbed, "--net", scene.net, "--format", form]
    words += ["--until", until, "--runs", str(scene.runs)]
    instant_s = round(dice.uniform(0.0, scene.ground.run_s * fault.within), 3)
    with ExitStack() as stack:
        out, err = (stack.enter_context((scene.folder / name).open("w+")) for name in ("out", "err"))
        scene.lab = subprocess.Popen(
            [*scene.before, *scene.ground.command(*words)],
            cwd=scene.ground.project,
            env=_environment(scene),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            text=True,
            process_group=0,
        )
        stack.callback(_end, scene.lab)
        started = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            scene.lab.wait(instant_s)
        injected = fault.standing or not scene.ended()
        if injected and not fault.standing:
            try:
                fault.inject(scene)
            except NoTargetError:
                injected = False
        wrong = []
        try:
            scene.lab.wait(END_S)
        except subprocess.TimeoutExpired:
            wrong.append(f"hangs: had not ended {END_S:g} s after the fault")
            scene.lab.kill()
            scene.lab.wait()
        run_s = round(time.monotonic() - started, 3)
        for stream in (out, err):
            stream.seek(0)
        said, complaint = out.read(), err.read()
    code = scene.lab.returncode
    if scene.relay is not None:
        scene.relay.die()
    allowed = fault.codes if injected else PLAYED
    wrong += _ends(code, allowed, injected=injected) + _words(code, said, complaint, form)
    wrong += _outcome(code, said, form, scenario)
    removed, restoring = _restore(scene)
    judged, judging = _judge(scene, scenario)
    wrong += [*restoring, *judging, *_rest_of(scene)]
    lines = complaint.splitlines()
    return Trial(
        seed, fault.name, scene.ground.name, f"{scenario} --until {until} --format {form}", instant_s, injected, code,
        lines[-1][:200] if lines else "", judged, removed, run_s, round(time.monotonic() - began, 1), tuple(wrong),
    )  # fmt: skip


def _end(lab: "subprocess.Popen[str]") -> None:
    """Kill the lab if it still runs, however the campaign itself ends."""
    if lab.poll() is None:
        lab.kill()
        lab.wait()


def _environment(scene: Scene) -> dict[str, str]:
    home = {"HOME": str(scene.ground.project)} if scene.ground.name == "rootless" else {}
    return environment(TMPDIR=str(scene.folder / "tmp"), PYTHONDONTWRITEBYTECODE="1", **home) | scene.environment


def _ends(code: int, allowed: frozenset[int], *, injected: bool) -> list[str]:
    # A run that ends at the instant of its fault ends as if there had been none.
    if code in allowed or code in PLAYED:
        return []
    what = "after the fault" if injected else "though the fault came too late"
    return [f"exit code {code} {what}, not one of {sorted(allowed)}"]


def _words(code: int, said: str, complaint: str, form: str) -> list[str]:
    """What the two streams must and must not hold."""
    wrong = []
    if "Traceback" in said + complaint or "Exception ignored" in complaint:
        wrong.append(f"a traceback: {complaint[-1500:]!r}")
    ours = [line for line in complaint.splitlines() if line.startswith("lab: ")]
    if code in (BROKE_AWAY, INTERRUPTED, BY_SIGINT) and (len(ours) != 1 or not complaint.endswith(f"{ours[-1]}\n")):
        wrong.append(f"exit code {code} without one clear line at the end: {complaint[-500:]!r}")
    if code == BROKE_AWAY and form == "json" and said:
        wrong.append(f"exit code {code} with a document on standard output")
    return wrong


def _outcome(code: int, said: str, form: str, scenario: str) -> list[str]:
    if code not in PLAYED or form != "json":
        return []
    return _unless(json.loads(said), scenario, "the run")


def _unless(verdict: dict[str, Any], scenario: str, whose: str) -> list[str]:
    outcome = verdict["outcome"]
    if outcome in MAY_BE[scenario] | OTHERWISE:
        return []
    return [f"{whose} says {outcome} ({verdict['grade']}) of {scenario}"]


def _restore(scene: Scene) -> tuple[int, list[str]]:
    done = subprocess.run(
        scene.ground.command("restore", "--format", "json"),
        cwd=scene.ground.project,
        env=_environment(scene) | {"DOCKER_HOST": os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )
    if done.returncode != 0 or done.stderr:
        return 0, [f"lab restore: exit code {done.returncode}, {done.stderr[-500:]!r}"]
    return len(json.loads(done.stdout)["removed"]), []


def _judge(scene: Scene, scenario: str) -> tuple[str, list[str]]:
    """`lab judge` reads what the run left, or says in one line why it cannot."""
    runs = _runs(scene)
    if not runs:
        return NO_RUN, []
    if len(runs) > 1:
        return "", [f"more than one run directory: {runs}"]
    code, document = judged(runs[0])
    wrong = [f"lab judge: exit code {code}"] if code not in (0, 1, 2, 3) else []
    if document["errors"]:
        (error,) = document["errors"]
        if error["message"].count("\n"):
            wrong.append(f"lab judge: more than a line: {error['message']!r}")
        return str(error["message"]).removeprefix(f"{runs[0]}: "), wrong
    (connection,) = document["connections"]
    return str(connection["outcome"]), wrong + _unless(connection, scenario, "lab judge")


def judged(run: Path) -> tuple[int, dict[str, Any]]:
    """The exit code of `lab judge`, and its document."""
    from lab.cli import app

    said = io.TextIOWrapper(io.BytesIO())
    with contextlib.redirect_stdout(said):
        code = app.main(["judge", "--format", "json", str(run)], prog_name="lab", standalone_mode=False)
    said.flush()
    said.seek(0)
    document: dict[str, Any] = json.loads(said.read())
    return code, document


def _runs(scene: Scene) -> list[Path]:
    return sorted(each for each in scene.runs.iterdir() if each.is_dir() and not each.is_symlink())


def _rest_of(scene: Scene) -> Iterator[str]:
    """Whatever is damaged in the run directory: each file must be valid by itself."""
    for run in _runs(scene):
        for path in run.iterdir():
            yield from _damage(path)
    latest = scene.runs / "latest"
    if latest.is_symlink() and not latest.exists():
        yield f"{latest.name} points to nothing: {latest.readlink()}"


def _damage(path: Path) -> Sequence[str]:
    """What is wrong with a file of JSON, of lines of JSON or of pcapng: all its records must be whole."""
    try:
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".jsonl":
            data = path.read_bytes()
            if data and not data.endswith(b"\n"):
                return [f"{path.name} is cut within a record: {data[-80:]!r}"]
            for line in data.splitlines():
                json.loads(line)
        elif path.suffix == ".pcapng":
            from lab.pcap.connections import judge_capture

            return judge_capture(path, lambda *_: None).errors
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a difference
        return [f"{path.name} is damaged: {error!r}"]
    return []
