"""Where a run lies on disk: writes it while it is played, and reads it back as the same evidence.

    runs/<utc>-<scenario>-<id>/     spec.json manifest.json wire.pcapng sockets.jsonl threads.jsonl holders.jsonl
                                    progress.jsonl client.log server.log verdict.json
    runs/latest                     points to the newest

A line of a .jsonl file is one sample and the number of its snapshot. What is whole is written at once; samples are
appended as they come, so that a killed run leaves files that end with a whole record.

Nobody else may write into a run, whatever the umask is. The folder above may be somebody's who would like root to write
elsewhere: no link is followed.
"""

import os
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from lab.errors import BadInputError, SpecError, StoreError
from lab.evidence import (
    UNKNOWN,
    CaptureCount,
    Connected,
    Ended,
    Evidence,
    ProcessSample,
    Progress,
    Settings,
    Snapshot,
    SocketSample,
    ThreadSample,
)
from lab.pcap import pcapng
from lab.proof.verdict import Verdict
from lab.proof.wire import notable, witness
from lab.spec import Pair, Role, Spec
from lab.tcp.frame import dissect

T = TypeVar("T")

SPEC, MANIFEST, WIRE, VERDICT = "spec.json", "manifest.json", "wire.pcapng", "verdict.json"
LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What else was observed: once a run, not once a snapshot."""

    host: Mapping[str, str]
    """Kernel, machine, versions, clock: for people, not for the judge."""
    started_ns: int
    seen_ns: int
    settings: Pair[Settings | None]
    core: Mapping[str, str]
    connected: Pair[Connected | None]
    ended: Pair[Ended | None]
    capture: CaptureCount | None
    missing: tuple[str, ...]
    release: str | None = None
    max_tcp_header: int | None = None
    memory: Pair[int | None] = UNKNOWN
    core_before: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Line:
    """A sample in a .jsonl file; `after` tells the second reading of the threads from the first."""

    snapshot: int
    sample: Any
    after: bool | None = None


@dataclass(frozen=True, slots=True)
class Holders:
    """Who holds the pair, or could wake a holder: the rest of a snapshot, one line each."""

    processes: tuple[ProcessSample, ...] | None
    peers: Mapping[str, str]
    unreadable: int


SAMPLES = {"sockets": SocketSample, "threads": ThreadSample, "progress": Progress, "holders": Holders}


class Run:
    """A run directory that is being written."""

    def __init__(self, path: Path, owner: tuple[int, int] | None) -> None:
        self.path = path
        self._owner = owner
        self._written = 0

    @classmethod
    def create(cls, runs: Path, spec: Spec) -> "Run":
        """A new directory in `runs`, which is made if need be. Raises StoreError."""
        name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{spec.scenario.name}-{secrets.token_hex(3)}"
        try:
            runs.mkdir(mode=0o755, parents=True, exist_ok=True)
            path = runs / name
            path.mkdir(mode=0o755)
        except OSError as error:
            raise StoreError(
                f"cannot write into {runs} ({error.strerror}): give another folder with --runs or LAB_RUNS"
            ) from None
        run = cls(path, _owner_to_give(runs))
        run._write(SPEC, _json(spec))
        for name in SAMPLES:
            run._write(f"{name}.jsonl", b"")
        try:
            _point_latest(runs, path)
        except StoreError:
            run.discard()
            raise
        return run

    def extend(self, evidence: Evidence) -> None:
        """Append the snapshots that came since the last call, but the last of all: evidence may yet replace it."""
        self._extend(evidence.snapshots[:-1])

    def _extend(self, snapshots: Iterable[Snapshot]) -> None:
        lines: dict[str, list[bytes]] = {name: [] for name in SAMPLES}
        for snapshot in snapshots:
            if snapshot.number > self._written:
                self._written = snapshot.number
                _add_lines(lines, snapshot)
        for name, each in lines.items():
            if each:
                self._append(f"{name}.jsonl", b"".join(each))

    def finish(self, evidence: Evidence, seal_ns: int | None, host: Mapping[str, str]) -> None:
        """All that is written once: the logs, the capture with its comments, and the manifest, which says: whole."""
        self._extend(evidence.snapshots)
        for role in Role:
            self._write(f"{role}.log", evidence.logs[role].encode())
        self._write_wire(evidence, seal_ns)
        manifest = Manifest(
            host=host,
            started_ns=evidence.started_ns,
            seen_ns=evidence.seen_ns,
            settings=evidence.settings,
            core=evidence.core,
            connected=evidence.connected,
            ended=evidence.ended,
            capture=evidence.capture,
            missing=evidence.missing,
            release=evidence.release,
            max_tcp_header=evidence.max_tcp_header,
            memory=evidence.memory,
            core_before=evidence.core_before,
        )
        self._write(MANIFEST, _json(manifest))

    def _write_wire(self, evidence: Evidence, seal_ns: int | None) -> None:
        """The capture, if there is one, with a comment on each packet that matters."""
        if evidence.capture is None:
            return
        ends = evidence.connected.client
        facts = witness(evidence.segments, Pair(ends.local, ends.remote) if ends else None)
        comments = notable(facts, evidence.segments, seal_ns)
        path = self.path / WIRE
        pcapng.write(path, evidence.frames, evidence.capture.interface, comments, evidence.spec.snaplen)
        self._give(path)

    def discard(self) -> None:
        """Nothing was seen: the directory goes again, and `latest` with it if it points here."""
        latest = self.path.parent / LATEST
        if latest.is_symlink() and latest.readlink() == Path(self.path.name):
            latest.unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def write_verdict(self, verdict: Verdict) -> None:
        self._write(VERDICT, _json(verdict))

    def _write(self, name: str, data: bytes) -> None:
        path = self.path / name
        unfinished = path.with_name(f".{name}.unfinished")
        try:
            unfinished.unlink(missing_ok=True)
            with _opened(unfinished, os.O_EXCL) as stream:
                stream.write(data)
            unfinished.replace(path)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from None
        self._give(path)

    def _append(self, name: str, data: bytes) -> None:
        try:
            with _opened(self.path / name, os.O_APPEND) as stream:
                stream.write(data)
        except OSError as error:
            raise StoreError(f"cannot write {self.path / name}: {error.strerror}") from None

    def _give(self, path: Path) -> None:
        if self._owner is None:
            return
        try:
            os.chown(path, *self._owner, follow_symlinks=False)
            os.chown(self.path, *self._owner, follow_symlinks=False)
        except OSError:
            # The root of a user namespace and of a container without CAP_CHOWN may not: the run stays the writer's.
            self._owner = None


def load(path: Path) -> Evidence:
    """The evidence of a run directory; an older verdict in it is not looked at. Raises BadInputError."""
    for each in (SPEC, MANIFEST, WIRE, *(f"{name}.jsonl" for name in SAMPLES), *(f"{role}.log" for role in Role)):
        if (path / each).exists() and not (path / each).is_file():
            raise BadInputError(f"{path / each}: is a device, a pipe or a folder, and no file")
    spec = _read(path / SPEC, Spec)
    manifest = _read(path / MANIFEST, Manifest)
    samples = {name: tuple(_read_lines(path / f"{name}.jsonl", kind)) for name, kind in SAMPLES.items()}
    frames = tuple(pcapng.read(path / WIRE)) if manifest.capture is not None else ()
    return Evidence(
        spec=spec,
        started_ns=manifest.started_ns,
        seen_ns=manifest.seen_ns,
        settings=manifest.settings,
        core=dict(manifest.core),
        connected=manifest.connected,
        ended=manifest.ended,
        snapshots=tuple(_snapshots(samples)),
        frames=frames,
        segments=tuple(filter(None, map(dissect, frames))),
        capture=manifest.capture,
        logs=Pair(*(_text(path / f"{role}.log") for role in Role)),
        memory=manifest.memory,
        missing=manifest.missing,
        release=manifest.release,
        max_tcp_header=manifest.max_tcp_header,
        core_before=dict(manifest.core_before),
    )


def is_run(path: Path) -> bool:
    return (path / SPEC).is_file()


def _add_lines(lines: dict[str, list[bytes]], snapshot: Snapshot) -> None:
    number = snapshot.number
    for after, threads in ((False, snapshot.threads_before), (True, snapshot.threads_after)):
        lines["threads"] += [_line(number, thread, after) for thread in threads]
    lines["sockets"] += [_line(number, socket) for socket in (*snapshot.sockets, *snapshot.others) if socket]
    holders = Holders(snapshot.processes, snapshot.peers, snapshot.unreadable)
    lines["holders"].append(_line(number, holders))
    lines["progress"] += [_line(number, progress) for progress in snapshot.progress if progress]


def _line(number: int, sample: object, after: bool | None = None) -> bytes:
    return msgspec.json.encode(_Line(number, sample, after)) + b"\n"


def _snapshots(samples: Mapping[str, tuple[_Line, ...]]) -> Iterable[Snapshot]:
    threads: dict[tuple[int, bool | None], list[ThreadSample]] = {}
    for line in samples["threads"]:
        threads.setdefault((line.snapshot, line.after), []).append(line.sample)
    others: dict[int, list[SocketSample]] = {}
    for line in samples["sockets"]:
        if line.sample.role is None:
            others.setdefault(line.snapshot, []).append(line.sample)
    sockets = {(line.snapshot, line.sample.role): line.sample for line in samples["sockets"]}
    progress = {(line.snapshot, line.sample.role): line.sample for line in samples["progress"]}
    holders = {line.snapshot: line.sample for line in samples["holders"]}
    for number in sorted({line.snapshot for lines in samples.values() for line in lines}):
        around: Holders = holders.get(number, _NOT_LOOKED)
        yield Snapshot(
            number=number,
            threads_before=tuple(threads.get((number, False), ())),
            sockets=Pair(*(sockets.get((number, role)) for role in Role)),
            threads_after=tuple(threads.get((number, True), ())),
            progress=Pair(*(progress.get((number, role)) for role in Role)),
            others=tuple(others.get(number, ())),
            processes=around.processes,
            peers=dict(around.peers),
            unreadable=around.unreadable,
        )


_NOT_LOOKED = Holders(None, {}, 0)
"""A kill cut the line off: nothing is known of the holders."""


def _opened(path: Path, flags: int) -> BinaryIO:
    """To write; others may read it."""
    flags |= os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o644), "wb")


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise BadInputError(f"{path.parent}: no {path.name}; is it a run directory, and did the run end?") from None
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.DecodeError, msgspec.ValidationError, SpecError) as error:
        raise BadInputError(f"{path}: {error}") from None


def _read_lines(path: Path, kind: type) -> Iterable[_Line]:
    """Every whole line. A last line that a kill cut short is passed over; a broken one elsewhere is damage."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {error.strerror}") from None
    decoder = msgspec.json.Decoder(_Line)
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            read = decoder.decode(line)
            yield _Line(read.snapshot, msgspec.convert(read.sample, kind), read.after)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise BadInputError(f"{path}: line {number}: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _owner_to_give(runs: Path) -> tuple[int, int] | None:
    """Who the run directory is left to: the owner of `runs`, where root writes for somebody else."""
    status = runs.stat()
    if os.geteuid() != 0 or status.st_uid == 0:
        return None
    return status.st_uid, status.st_gid


def _point_latest(runs: Path, path: Path) -> None:
    link = runs / f".{LATEST}.{path.name}"
    try:
        link.symlink_to(path.name)
        link.replace(runs / LATEST)
    except OSError as error:
        link.unlink(missing_ok=True)
        raise StoreError(
            f"cannot point {runs / LATEST} to {path.name} ({error.strerror}): give another folder with --runs"
        ) from None
