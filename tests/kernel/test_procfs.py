"""What /proc says of a process."""

import subprocess
import sys
from pathlib import Path

from lab.kernel.procfs import BLOCK, is_alive, start_of, text_of
from tests.waiting import LIMIT_S


def test_a_process_is_known_by_its_number_and_its_beginning() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
    start = start_of(process.pid)
    assert start is not None
    assert is_alive(process.pid, start)
    assert not is_alive(process.pid, start - 1), "the number has been used again"
    process.kill()
    process.wait(LIMIT_S)
    assert start_of(process.pid) is None
    assert not is_alive(process.pid, start)


def test_a_file_is_read_to_its_end_and_only_a_newline_ends_a_line(tmp_path: Path) -> None:
    """A program chooses its name: a carriage return or a wrong byte in it must not look like a line of its own."""
    file = tmp_path / "status"
    file.write_bytes(b"Name:\tx\rSigIgn:\tf\xff\n" + bytes(2 * BLOCK) + b"end")
    text = text_of(file)
    assert text.startswith("Name:\tx\rSigIgn:\tf\\xff\n")
    assert text.endswith("end")
    assert text.count("\0") == 2 * BLOCK
