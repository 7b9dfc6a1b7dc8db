"""Pipes into which the kernel writes."""

import os
from pathlib import Path

import pytest

from lab.kernel.processes.autofs import autofs_pipes
from tests.kernel.sleepers import sleeper

pytestmark = pytest.mark.root


def test_the_pipe_of_a_mount_is_found_in_any_mount_namespace_and_other_pipes_are_not(tmp_path: Path) -> None:
    code = f"""
r, w = os.pipe(); libc.unshare(0x20000); libc.mount(None, b"/", None, 0x44000, None)
options = f"fd={{w}},pgrp={{os.getpgrp()}},minproto=5,maxproto=5,indirect".encode()
say(inode(r), libc.mount(b"lab", {bytes(tmp_path)!r}, b"autofs", 0, options)); time.sleep(60)
"""
    read, write = os.pipe()
    with sleeper(code) as program:
        inode, refused = map(int, program.words)
        assert refused == 0
        found = autofs_pipes()
    assert inode in found
    assert os.fstat(read).st_ino not in found
    os.close(read)
    os.close(write)
