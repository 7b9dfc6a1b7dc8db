"""The page's layout is a promise to whoever reads it from another process."""

import os
import struct
import time

import pytest

from lab.endpoint.barrier import RefusedError
from lab.endpoint.progress import MAGIC, SIZE, ProgressPage, check


def test_the_words_lie_where_the_module_says() -> None:
    descriptor = os.memfd_create("page")
    os.truncate(descriptor, SIZE)
    page = ProgressPage(descriptor)
    assert struct.unpack("<4Q", os.pread(descriptor, 32, 0)) == (MAGIC, 0, 0, 0)
    since = time.time_ns()
    page.sent(1 << 40)
    page.received(42)
    magic, sent, received, stamp = struct.unpack("<4Q", os.pread(descriptor, 32, 0))
    assert (magic, sent, received) == (0x304E5A4C4142, 1 << 40, 42)
    assert since <= stamp <= time.time_ns()
    page.refused(7)
    assert struct.unpack("<2Q", os.pread(descriptor, 16, 24)) == (stamp, 7), "what is refused is no progress"
    page.begin()
    assert struct.unpack("<4Q", os.pread(descriptor, 32, 0)) == (MAGIC, 0, 0, stamp)
    assert not any(os.pread(descriptor, SIZE, 32))
    os.close(descriptor)


def test_a_page_that_would_kill_its_writer_is_refused() -> None:
    descriptor = os.memfd_create("page")
    os.truncate(descriptor, SIZE - 1)
    with pytest.raises(RefusedError, match="less than 4096"):
        check(descriptor)
    os.close(descriptor)
