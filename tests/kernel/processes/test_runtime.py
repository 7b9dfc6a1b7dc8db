"""A runtime is recognised by the program file and its libraries."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from lab.kernel.processes.runtime import GO_SECTIONS, _section_names, runtime_of
from tests.waiting import seen


@pytest.mark.parametrize(
    ("runtime", "command"),
    [("node", ["node", "-e", "setInterval(() => 0, 1e6)"]), ("go", ["docker", "events"]), (None, ["sleep", "60"])],
)
def test_runtimes_are_recognised(runtime: str | None, command: list[str]) -> None:
    assert shutil.which(command[0])
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            name = os.path.realpath(str(shutil.which(command[0])))
            seen(lambda: os.readlink(f"/proc/{process.pid}/exe"), lambda program: program == name)
            assert runtime_of(process.pid) == runtime
        finally:
            process.kill()


def sections(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return _section_names(file.fileno())


def test_the_sections_of_a_program_file_are_told_and_those_of_another_file_are_none(tmp_path: Path) -> None:
    assert {b".text", b".dynamic", b".shstrtab"} <= set(sections(Path("/proc/self/exe")))
    docker = shutil.which("docker")
    assert docker
    assert GO_SECTIONS & set(sections(Path(docker)))
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n" + ".gopclntab\n" * 99)
    assert sections(script) == []


def test_a_program_file_that_is_cut_short_is_no_runtime_s(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(Path("/proc/self/exe").read_bytes()[:100])
    with pytest.raises(struct.error):
        sections(short)


def test_a_process_that_has_ended_is_no_runtime_s() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert runtime_of(process.pid) is None
