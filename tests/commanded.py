"""The command line as a process of its own, as a person starts it; and what it must leave behind: nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.kernel.procfs import descendants
from tests.waiting import LIMIT_S

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - a document
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    """Ours without the lab's own variables: the person who runs the tests may have set some."""
    return {key: value for key, value in os.environ.items() if not key.startswith("LAB_")} | more


def started(*arguments: str | Path, before: Sequence[str] = (), **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*before, sys.executable, "-m", "lab", *map(str, arguments)],
        cwd=ROOT,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ending(process: "subprocess.Popen[str]") -> Said:
    out, err = process.communicate(timeout=LIMIT_S)
    return Said(process.returncode, out, err)


def lab(*arguments: str | Path, **more: str) -> Said:
    return ending(started(*arguments, **more))


@contextmanager
def small_disk(path: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes on the folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True, timeout=LIMIT_S)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True, timeout=LIMIT_S)


def is_one_line(said: Said) -> bool:
    return said.out == "" and said.err.count("\n") == 1 and said.err.startswith("lab: ") and len(said.err) > 20


def below(pid: int) -> list[tuple[int, str]]:
    """The processes under this one, each with its command line."""
    found = []
    for each in descendants(pid)[1:]:
        try:
            found.append((each, Path(f"/proc/{each}/cmdline").read_text().replace("\0", " ").strip()))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def endpoints() -> set[int]:
    """Every process that is an endpoint of a lab."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"lab.endpoint" in words:
            found.add(int(folder.name))
    return found


def parent_of(pid: int) -> int | None:
    """None if the process has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
