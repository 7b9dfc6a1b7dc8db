"""What /proc says of a process."""

import subprocess
import sys

from lab.kernel.procfs import is_alive, start_of
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
