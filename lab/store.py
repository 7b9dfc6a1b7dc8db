"""Where a run lies on disk: writes it while it is played, and reads it back as the same evidence.

    runs/<utc>-<scenario>-<id>/     spec.json manifest.json wire.pcapng sockets.jsonl threads.jsonl holders.jsonl
                                    progress.jsonl client.log server.log verdict.json
    runs/latest                     points to the newest

A line of a .jsonl file is one sample and the number of its snapshot. What is whole is written at once; frames and
samples are appended as they come, so that a killed run leaves files that end with a whole record. On a full disk the
capture ends, the samples wait in memory, and what had to be left out is said in the manifest, for which room is kept.

Nobody else may write into a run, whatever the umask is. The folder above may be somebody's who would like root to write
elsewhere: no link is followed.
"""

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar

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
    Resource,
    Settings,
    Snapshot,
    SocketSample,
    ThreadSample,
    WireFacts,
)
from lab.pcap import pcapng
from lab.proof.stack.traits import MAX_TCP_HEADERS
from lab.run_format import FORMAT, refuse_newer, upgraded
from lab.spec import Pair, Role, Spec
from lab.tcp.frame import Frame, dissect
from lab.version import VERSION
from lab.wire.comments import SEALED
from lab.wire.witness import WireWitness

T = TypeVar("T")

SPEC, MANIFEST, WIRE, VERDICT = "spec.json", "manifest.json", "wire.pcapng", "verdict.json"
LATEST = "latest"
LONGEST_RELEASE = 64
"""Characters (__NEW_UTS_LEN)."""

ROOM, ROOM_FOR_MANIFEST = 1 << 20, 1 << 16
"""A file that holds disk space until the end, in bytes: for the samples that found none, and then for the manifest."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What else was observed: once a run, not once a snapshot. The first is written when the pair has connected."""

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
    adv_win_scale_counts: bool | None = None
    memory: Pair[int | None] = UNKNOWN
    core_before: Mapping[str, str] = field(default_factory=dict)
    finished: bool = True
    """False: the run is on, or was killed."""
    unwritten: tuple[str, ...] = ()
    """What the disk had no room for."""
    format: int = 1
    """`lab.run_format`; the first wrote none."""
    lab: str | None = None
    """The version of the lab that wrote it."""


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
    """`Snapshot.peers` as text: the keys of a JSON object are."""
    unreadable: int
    unlisted: bool = False
    thresholds: bool = False

    def __post_init__(self) -> None:
        self.resources()  # a ValueError is the line's, where it is read

    def resources(self) -> dict[Resource, Resource]:
        return {Resource.parse(one): Resource.parse(other) for one, other in self.peers.items()}


SAMPLES = {"sockets": SocketSample, "threads": ThreadSample, "progress": Progress, "holders": Holders}


class Run:
    """A run directory that is being written. A full disk does not end the run: `finish` says what could not be kept."""

    def __init__(self, path: Path, spec: Spec, owner: tuple[int, int] | None, room: IO[bytes]) -> None:
        self.path = path
        self._room = room
        self._spec = spec
        self._latest_before: str | None = None
        self._owner = owner
        self._written = 0
        self._wire: pcapng.Writer | None = None
        self._frames = 0
        self._connected: Pair[Connected | None] | None = None
        self._failure: StoreError | None = None
        """The first. From then on the capture is not written any more, and the samples at the end only."""

    @classmethod
    def create(cls, runs: Path, spec: Spec) -> "Run":
        """A new directory in `runs`, which is made if need be. Raises StoreError."""
        name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{spec.scenario.name}-{os.urandom(3).hex()}"
        path = runs / name
        try:
            runs.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.mkdir(mode=0o755)
            room = _room(path)
        except OSError as error:
            shutil.rmtree(path, ignore_errors=True)
            raise StoreError(
                f"cannot write into {runs} ({error.strerror}): give another folder with --runs or LAB_RUNS"
            ) from None
        run = cls(path, spec, _owner_to_give(runs), room)
        try:
            run._write(SPEC, _json(spec))
            for name in SAMPLES:
                run._write(f"{name}.jsonl", b"")
            run._latest_before = _latest(runs)
            _point_latest(runs, path.name)
        except StoreError:
            run.discard()
            raise
        return run

    def record(self, interface: str, frames: Sequence[Frame], comments: Mapping[int, str]) -> None:
        """Append captured frames, those whose number has a comment with it."""
        self._frames += len(frames)
        if self._failure is not None:
            return
        known = len(self._wire.files) if self._wire else 0
        try:
            if self._wire is None:
                self._wire = pcapng.Writer(self.path / WIRE, interface, self._spec.snaplen, self._spec.capture_size)
            self._wire.write(frames, comments)
        except StoreError as error:
            self._failure = error
        for path in self._wire.files[known:] if self._wire else ():
            self._give(path)

    def extend(self, evidence: Evidence) -> None:
        """Append the snapshots that came since the last call, but the last of all: evidence may yet replace it."""
        if self._failure is not None:
            return
        try:
            if evidence.connected != self._connected:
                # For whoever judges a run that was killed.
                self._write(MANIFEST, _json(_manifest(evidence, {}, finished=False)))
                self._connected = evidence.connected
            self._extend(evidence.snapshots[:-1])
        except StoreError as error:
            self._failure = error

    def finish(self, evidence: Evidence, verdict: Mapping[str, Any] | None, host: Mapping[str, str]) -> None:
        """All that is written once, the manifest last but for the verdict. Raises StoreError, after all that fits.

        `verdict` is as the JSON contract has it.
        """
        self._room.truncate(ROOM_FOR_MANIFEST)
        unwritten = [
            *self._finish_logs(evidence.logs),
            *self._finish_samples(evidence.snapshots),
            *self._finish_wire(evidence.wire.ends, verdict["seal_ns"] if verdict else None),
        ]
        self._room.close()
        self._write(MANIFEST, _json(_manifest(evidence, host, unwritten=tuple(unwritten))))
        if verdict is not None:
            self._write(VERDICT, _json(verdict))
        if self._failure is not None and unwritten:
            raise StoreError(f"{self._failure}; not kept: {' and '.join(unwritten)}")

    def _finish_logs(self, logs: Pair[str]) -> Iterator[str]:
        for role in Role:
            try:
                self._write(f"{role}.log", logs[role].encode())
            except StoreError as error:
                self._failure = self._failure or error
                yield f"the {role}'s log"

    def _finish_samples(self, snapshots: Sequence[Snapshot]) -> Iterator[str]:
        """All snapshots that are not on disk yet; if there is no room for all, the latest."""
        try:
            self._extend(snapshots)
        except StoreError as error:
            self._failure = self._failure or error
            pending = [snapshot for snapshot in snapshots if snapshot.number > self._written]
            while pending:
                try:
                    self._append(pending[-1:])
                except StoreError:
                    yield f"{len(pending)} of {len(snapshots)} snapshots"
                    return
                pending.pop()

    def _finish_wire(self, ends: Pair[str] | None, seal_ns: int | None) -> Iterator[str]:
        """The comment that could not be given before the end; how many packets are not there, if so."""
        if self._wire is not None:
            self._wire.close()
            if ends is not None and seal_ns is not None:
                with suppress(StoreError):  # no room for it: a comment is no evidence
                    self._wire.remark(SEALED, _until(seal_ns, ends))
        absent = self._frames - (self._wire.frames if self._wire else 0)
        if absent:
            yield f"{absent:,} of {self._frames:,} captured packets"

    def discard(self) -> None:
        """Nothing was seen: the directory goes again, and `latest`, if it points here, to the one before."""
        runs = self.path.parent
        if _latest(runs) == self.path.name:
            (runs / LATEST).unlink(missing_ok=True)
            if self._latest_before and is_run(runs / self._latest_before):
                with suppress(StoreError):
                    _point_latest(runs, self._latest_before)
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        """What is on disk by now stays as it is, as after a kill."""
        self._room.close()
        if self._wire is not None:
            self._wire.close()

    def _extend(self, snapshots: Iterable[Snapshot]) -> None:
        new = [snapshot for snapshot in snapshots if snapshot.number > self._written]
        if new:
            self._append(new)
            self._written = new[-1].number

    def _append(self, snapshots: Iterable[Snapshot]) -> None:
        """Each sample to its file; nothing at all, if one file does not take its samples. Raises StoreError."""
        lines: dict[str, list[bytes]] = {name: [] for name in SAMPLES}
        for snapshot in snapshots:
            _add_lines(lines, snapshot)
        sizes: list[tuple[Path, int]] = []
        for name, each in lines.items():
            path = self.path / f"{name}.jsonl"
            try:
                with _opened(path, os.O_APPEND) as stream:
                    sizes.append((path, os.fstat(stream.fileno()).st_size))
                    stream.write(b"".join(each))
            except OSError as error:
                for taken, size in sizes:
                    with suppress(OSError), _opened(taken) as stream:
                        stream.truncate(size)
                raise StoreError(f"cannot write {path}: {error.strerror}") from None

    def _write(self, name: str, data: bytes) -> None:
        path = self.path / name
        unfinished = path.with_name(f".{name}.unfinished")
        try:
            try:
                unfinished.unlink(missing_ok=True)
                with _opened(unfinished, os.O_EXCL) as stream:
                    stream.write(data)
                unfinished.replace(path)
            except OSError:
                unfinished.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from None
        self._give(path)

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
    refuse_newer(manifest.format, str(path / MANIFEST))
    for key, said in _unlikely(manifest):
        raise BadInputError(f"{path / MANIFEST}: {key}: no kernel says {str(said)[:80]!r}")
    samples = {
        name: tuple(_read_lines(path / f"{name}.jsonl", kind, manifest.format)) for name, kind in SAMPLES.items()
    }
    for key, said in _unlikely_sockets(line.sample for line in samples["sockets"]):
        raise BadInputError(f"{path / 'sockets.jsonl'}: {key}: no kernel says {str(said)[:80]!r}")
    snapshots = tuple(_snapshots(samples))
    wire, capture = _read_wire(path / WIRE, manifest)
    missing = [*manifest.missing, *(f"{each}, for which the disk had no room" for each in manifest.unwritten)]
    seen_ns = manifest.seen_ns
    if not manifest.finished:
        missing.append("what came later: the run was killed before its end")
        seen_ns = max([seen_ns, *(snapshot.time_ns for snapshot in snapshots[-1:])])
    return Evidence(
        spec=spec,
        started_ns=manifest.started_ns,
        seen_ns=seen_ns,
        settings=manifest.settings,
        core=dict(manifest.core),
        connected=manifest.connected,
        ended=manifest.ended,
        snapshots=snapshots,
        wire=wire,
        capture=capture,
        logs=Pair(*(_text(path / f"{role}.log") for role in Role)),
        resident_growth=manifest.memory,
        missing=tuple(missing),
        release=manifest.release,
        max_tcp_header=manifest.max_tcp_header,
        adv_win_scale_counts=manifest.adv_win_scale_counts,
        core_before=dict(manifest.core_before),
    )


def _unlikely(manifest: Manifest) -> Iterator[tuple[str, object]]:
    """What the judge and the forecast would read as numbers, and could not."""
    for settings in manifest.settings:
        if settings and not _SCALE.fullmatch(said := settings.sysctls.get("tcp_adv_win_scale", "1")):
            yield "tcp_adv_win_scale", said
        if settings and not _NUMBER.fullmatch(said := settings.sysctls.get("tcp_notsent_lowat", "0")):
            yield "tcp_notsent_lowat", said
        for key in ("tcp_rmem", "tcp_wmem"):
            if settings and not _THREE_NUMBERS.fullmatch(said := settings.sysctls.get(key, "0 0 0")):
                yield key, said
    for key, said in manifest.core.items():
        if not _NUMBER.fullmatch(said):
            yield key, said
    for connected in filter(None, manifest.connected):
        yield from _unlikely_ends({connected.local}, {connected.remote})
    if manifest.max_tcp_header not in (None, *MAX_TCP_HEADERS):
        yield "max_tcp_header", manifest.max_tcp_header
    if len(manifest.release or "") > LONGEST_RELEASE:
        yield "release", manifest.release


def _unlikely_sockets(samples: Iterable[SocketSample]) -> Iterator[tuple[str, object]]:
    local: set[str] = set()
    remote: set[str] = set()
    for sample in samples:
        local.add(sample.local)
        remote.add(sample.remote)
        for key, said in (("snd_mss", sample.snd_mss), ("advmss", sample.advmss)):
            if said is not None and not 0 <= said < 1 << 16:
                yield key, said
    yield from _unlikely_ends(local, remote)


def _unlikely_ends(local: set[str], remote: set[str]) -> Iterator[tuple[str, object]]:
    for key, said in (*(("local", each) for each in local), *(("remote", each) for each in remote)):
        host, _, port = said.rpartition(":")
        try:
            ip_address(host.strip("[]"))
            there = 0 <= int(port) < 1 << 16
        except ValueError:
            there = False
        if not there:
            yield key, said


_SCALE = re.compile(r"-?([12]?\d|3[01])", re.ASCII)
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)
_THREE_NUMBERS = re.compile(r"\d{1,10} \d{1,10} \d{1,10}", re.ASCII)


def _read_wire(path: Path, manifest: Manifest) -> tuple[WireFacts, CaptureCount | None]:
    """What the capture files say, and how much of the capture they hold: what they lack is lost as well."""
    counted, ends = manifest.capture, manifest.connected.client
    if counted is None:
        return WireFacts(), None
    from lab.pcap.connections import every_segment  # noqa: PLC0415 - numpy, which `lab run` does without

    witness = WireWitness(Pair(ends.local, ends.remote) if ends else None)
    last = 0
    try:
        for file in pcapng.files(path):
            for segment in every_segment(file, last):
                witness.feed(segment)
                last = segment.frame  # every frame is a segment: the kernel's filter lets nothing else through
    except BadInputError:
        if manifest.finished and not manifest.unwritten:
            raise
    dropped = counted.dropped + counted.frames - last if manifest.finished and counted.dropped is not None else None
    return witness.facts(), CaptureCount(counted.interface, last, dropped)


def is_run(path: Path) -> bool:
    return (path / SPEC).is_file()


def _add_lines(lines: dict[str, list[bytes]], snapshot: Snapshot) -> None:
    number = snapshot.number
    for after, threads in ((False, snapshot.threads_before), (True, snapshot.threads_after)):
        lines["threads"] += [_line(number, thread, after) for thread in threads]
    lines["sockets"] += [_line(number, socket) for socket in (*snapshot.sockets, *snapshot.others) if socket]
    peers = {str(one): str(other) for one, other in snapshot.peers.items()}
    holders = Holders(snapshot.processes, peers, snapshot.unreadable, snapshot.unlisted, snapshot.thresholds)
    lines["holders"].append(_line(number, holders))
    lines["progress"] += [_line(number, progress) for progress in snapshot.progress if progress]


def _line(number: int, sample: object, after: bool | None = None) -> bytes:
    return msgspec.json.encode(_Line(number, sample, after), enc_hook=_text_of) + b"\n"


def _text_of(value: object) -> str:
    if isinstance(value, Resource):
        return str(value)
    raise NotImplementedError(f"no form on disk for {type(value)}")


def _resource(_: type, text: str) -> Resource:
    return Resource.parse(text)


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
            peers=around.resources(),
            unreadable=around.unreadable,
            unlisted=around.unlisted,
            thresholds=around.thresholds,
        )


_NOT_LOOKED = Holders(None, {}, 0)
"""A kill cut the line off: nothing is known of the holders."""


def _manifest(
    evidence: Evidence, host: Mapping[str, str], *, finished: bool = True, unwritten: tuple[str, ...] = ()
) -> Manifest:
    return Manifest(
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
        adv_win_scale_counts=evidence.adv_win_scale_counts,
        core_before=evidence.core_before,
        memory=evidence.resident_growth,
        finished=finished,
        unwritten=unwritten,
        format=FORMAT,
        lab=VERSION,
    )


def _opened(path: Path, flags: int = 0) -> BinaryIO:
    """To write; others may read it."""
    flags |= os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o644), "wb")


def _until(seal_ns: int, ends: Pair[str]) -> Callable[[Frame], bool]:
    """Whether a frame is of this connection, and not after the seal."""

    def chosen(frame: Frame) -> bool:
        segment = dissect(frame) if frame.time_ns <= seal_ns else None
        return segment is not None and {segment.source, segment.destination} == set(ends)

    return chosen


def _room(folder: Path) -> IO[bytes]:
    """A file without a name, which the kernel frees at the latest when the lab ends, killed or not.

    Raises OSError where there is no room; a file system that cannot promise any has to do without.
    """
    room = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it is to stay open
    try:
        os.posix_fallocate(room.fileno(), 0, ROOM)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            room.close()
            raise
    return room


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


def _read_lines(path: Path, kind: type, number: int) -> Iterable[_Line]:
    """Every whole line. A last line that a kill cut short is passed over; a broken one elsewhere is damage."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {error.strerror}") from None
    decoder = msgspec.json.Decoder(_Line)
    for nth, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            read = decoder.decode(line)
            record = upgraded(read.sample, number) if kind is SocketSample else read.sample
            yield _Line(read.snapshot, msgspec.convert(record, kind, dec_hook=_resource), read.after)
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError) as error:
            raise BadInputError(f"{path}: line {nth}: {error}") from None


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


def _latest(runs: Path) -> str | None:
    """What `latest` points to."""
    try:
        return os.readlink(runs / LATEST)
    except OSError:
        return None


def _point_latest(runs: Path, name: str) -> None:
    link = runs / f".{LATEST}.{name}"
    try:
        link.symlink_to(name)
        link.replace(runs / LATEST)
    except OSError as error:
        link.unlink(missing_ok=True)
        raise StoreError(
            f"cannot point {runs / LATEST} to {name} ({error.strerror}): give another folder with --runs"
        ) from None
