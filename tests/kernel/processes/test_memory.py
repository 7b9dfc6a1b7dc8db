"""Arguments that lie in another process's memory are read as they are; what cannot be read is said."""

import struct
from pathlib import Path

import pytest

from lab.kernel.processes.memory import UnreadableError, in_private_memory, members, memory, timespec
from tests.kernel.nobody import as_nobody
from tests.kernel.sleepers import sleeper

PAGES = """
import mmap, tempfile
def address(page): return ctypes.addressof(ctypes.c_char.from_buffer(page))
file = tempfile.TemporaryFile(); file.write(bytes(4096)); file.flush()
own = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE); shared = mmap.mmap(-1, 4096, flags=mmap.MAP_SHARED)
own[:24] = struct.pack("=3q", 7, 500, -1)
libc.mmap.restype = ctypes.c_void_p
read_only = libc.mmap(None, ctypes.c_size_t(4096), 1, 2, file.fileno(), ctypes.c_long(0))
say(address(own), address(shared), read_only); time.sleep(60)
"""


def test_what_stands_there_is_read() -> None:
    with sleeper(PAGES) as program:
        own = int(program.words[0])
        assert memory(program.pid, own, 24) == struct.pack("=3q", 7, 500, -1)
        assert timespec(program.pid, own, 1) == 7_000_000_500
        assert timespec(program.pid, own, 1000) == 7_000_500_000


@pytest.mark.parametrize("address", [0, 1 << 47, (1 << 64) - 8])
def test_an_address_without_memory_is_said_to_be_unreadable(address: int) -> None:
    with sleeper("say('x'); time.sleep(60)") as program, pytest.raises(UnreadableError, match="not readable"):
        memory(program.pid, address, 8)


def test_what_reaches_beyond_its_mapping_is_unreadable_as_a_whole() -> None:
    with sleeper("say('x'); time.sleep(60)") as program:
        lines = Path(f"/proc/{program.pid}/maps").read_text().splitlines()
        end = next(int(line.split()[0].partition("-")[2], 16) for line in lines if "[stack]" in line)
        assert len(memory(program.pid, end - 8, 8)) == 8
        with pytest.raises(UnreadableError):
            memory(program.pid, end - 8, 16)


def test_who_may_not_read_gets_the_kernel_s_refusal() -> None:
    def refused(pid: int) -> bool:
        try:
            memory(pid, 0, 8)
        except PermissionError:
            return True
        return False

    with sleeper("say('x'); time.sleep(60)") as program:
        assert as_nobody(lambda: refused(program.pid))


def test_a_set_of_descriptors_is_told_up_to_its_count() -> None:
    bits = sum(1 << fd for fd in (0, 5, 63, 64, 70)).to_bytes(16, "little")
    assert list(members(bits, 128)) == [0, 5, 63, 64, 70]
    assert list(members(bits, 64)) == [0, 5, 63]


def test_memory_is_private_if_no_other_process_can_see_what_is_written_there() -> None:
    with sleeper(PAGES) as program:
        own, shared, read_only = map(int, program.words)
        assert in_private_memory(program.pid, own)
        assert not in_private_memory(program.pid, shared)
        assert not in_private_memory(program.pid, read_only), "the page of the file, whoever maps it"
        assert not in_private_memory(program.pid, 0), "nothing is mapped there"
