"""Whatever a process, a file or a packet is called: a terminal acts on none of it, and no command fails of it."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.kernel.place.netns import Namespace, program_in
from tests.captures import recorded
from tests.commanded import ROOT, ending, is_one_line, lab, started
from tests.waiting import LIMIT_S

NAME = b"\x1b[2J\x9b\xe2\x80\xae[red]\n"
"""Of a process: 15 bytes at most. It clears the screen, is no UTF-8, turns the direction, and ends a line."""
FILE = "\x1b]0;owned\x07\u202e\nFORGED[red].pcapng"


def is_shown_safely(said: str) -> bool:
    return all(line.isprintable() and not line.lstrip().startswith("FORGED") for line in said.split("\n"))


@contextmanager
def frozen_pair() -> Iterator[str]:
    """The namespace of a frozen pair of processes with that name."""
    named = f"import ctypes; ctypes.CDLL(None).prctl(15, {NAME!r}, 0, 0, 0); import tests.crowd as c; "
    program = named + "c.frozen(); c.settle(); print('ready', flush=True); input()"
    with Namespace.create() as namespace:
        namespace.call(subprocess.run, ["ip", "link", "set", "lo", "up"], check=True)
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=program_in(namespace),  # noqa: PLW1509 - nothing else can setns
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield f"/proc/{process.pid}/ns/net"
            process.communicate("\n", timeout=LIMIT_S)


def test_a_hostile_name_of_a_process_is_watched_and_escaped() -> None:
    with frozen_pair() as namespace:
        texts = [lab("watch", "--once", "--netns", namespace, "--format", form) for form in ("text", "json")]
    for said in texts:
        assert (said.code, said.err) == (1, "")
        assert is_shown_safely(said.out)
    assert r"\x1b[2J\x9b\u202e[red]" in texts[0].out
    assert any("\x1b[2J\\x9b\u202e[red]" in edge["waiter"] for edge in texts[1].json["connections"][0]["cycle"])


def test_a_hostile_capture_is_judged_and_escaped(tmp_path: Path) -> None:
    """Hostile by its name, by the texts in it, and by where it is damaged."""
    link, frames = recorded.frames(recorded.ALL[0])
    whole = recorded.pcapng(frames, [link, link])
    (tmp_path / FILE).write_bytes(whole)
    (tmp_path / f"cut{FILE}").write_bytes(whole[:-9])
    (tmp_path / os.fsdecode(b"\xff\x9b31m.pcap")).write_bytes(b"\x1b[2J" * 99)
    texts = [lab("judge", tmp_path, "--format", form) for form in ("text", "json")]
    for said in texts:
        assert said.code == 2
        assert said.err == ""
        assert is_shown_safely(said.out)
        assert "owned" in said.out
    assert {error["path"].partition("/")[0] for error in texts[1].json["errors"]}
    json.dumps(texts[1].json)


@pytest.mark.parametrize(
    "arguments",
    [
        ("judge", "no\x1b[2Jsuch\x9b\u202e\nFORGED: file"),
        ("judge", os.fsdecode(b"no\xffsuch")),
        ("run", "up\x1b[2Jper\u202e\nFORGED"),
        ("run", "--payload", "\x9b31m1k"),
        ("run", "--\x1b[2J"),
        ("\x1b[2J",),
        ("watch", "--netns", "\x1b[2J"),
    ],
)
def test_an_error_quotes_what_was_given_in_one_safe_line(arguments: tuple[str, ...]) -> None:
    said = lab(*arguments)
    assert said.code == 2
    assert is_shown_safely(said.err + said.out)
    assert arguments[0] == "judge" or is_one_line(said)


def test_nobody_else_may_write_into_what_a_run_leaves(tmp_path: Path) -> None:
    """Whatever the umask is."""
    runs = tmp_path / "new" / "runs"
    open_to_all = ("sh", "-c", 'umask 0; exec "$@"', "sh")
    said = ending(started("run", "--until", "proof", "--runs", runs, "--net", "198.18.181", before=open_to_all))
    assert said.code == 0, said.err
    left = [path for path in (runs.parent, *runs.parent.rglob("*")) if not path.is_symlink()]
    assert len(left) > 8
    for path in left:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o022, path
