"""The journal of host settings: whole or not believed, in a folder for root alone, and on disk before it counts."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import EnvironmentLacksError
from lab.kernel.place import journal
from lab.kernel.place.journal import Change, Journal, OutOfReachError

pytestmark = pytest.mark.root

NOTED = Journal("boot", 77, (Change("rmem_max", "212992", "131071"), Change("wmem_default", "212992", "4608")))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))
    descriptor = journal.opened(make=True)
    assert descriptor is not None
    yield descriptor
    os.close(descriptor)


def test_what_is_written_is_read_and_what_is_removed_is_gone(folder: int) -> None:
    assert journal.read(folder) is None
    journal.write(folder, NOTED)
    assert journal.read(folder) == NOTED
    assert os.listdir(folder) == [journal.NAME]
    journal.remove(folder)
    journal.remove(folder)
    assert journal.read(folder) is None
    assert os.listdir(folder) == []


def test_it_is_named_only_when_the_whole_of_it_is_on_disk(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes are synced before its name, and its name before the return: a crash leaves a whole journal or none."""
    order: list[str] = []
    sync, rename = os.fsync, os.replace

    def noted_sync(descriptor: int) -> None:
        order.append("folder" if descriptor == folder else "file")
        sync(descriptor)

    def noted_rename(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        order.append("name")
        rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_rename)
    journal.write(folder, NOTED)
    assert order == ["file", "name", "folder"]


@pytest.mark.parametrize("kept", range(0, 400, 7))
def test_a_torn_journal_is_no_journal_and_is_left_for_a_person(folder: int, kept: int) -> None:
    journal.write(folder, NOTED)
    file = journal.path() / journal.NAME
    whole = file.read_bytes()
    assert len(whole) < 400 + 7
    if kept >= len(whole.rstrip()):
        return
    file.write_bytes(whole[:kept])
    with pytest.raises(EnvironmentLacksError, match="is damaged or was not written by the lab"):
        journal.read(folder)
    assert file.read_bytes() == whole[:kept]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("host settings 1", "host settings 2"),
        ('"rmem_max"', '"somaxconn"'),
        ('"rmem_max"', '"../../kernel/panic"'),
        ('"212992"', '"-1"'),
        ('"212992"', "212992"),
        ('"131071"', '"\\u0661"'),
        ('"boot_id": "boot",', ""),
        ('"pid": 77', '"pid": "77"'),
        ('"pid": 77', '"pid": 77, "more": 1'),
        ("{", "[{"),
        ("{", "[" * 50_000),
    ],
)
def test_a_foreign_journal_is_not_guessed_at(folder: int, old: str, new: str) -> None:
    journal.write(folder, NOTED)
    file = journal.path() / journal.NAME
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(EnvironmentLacksError, match="is damaged or was not written by the lab"):
        journal.read(folder)


def test_neither_a_link_nor_a_pipe_nor_a_folder_is_a_journal(folder: int, tmp_path: Path) -> None:
    journal.write(folder, NOTED)
    file = journal.path() / journal.NAME
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EnvironmentLacksError, match="damaged"):
        journal.read(folder)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(EnvironmentLacksError, match="damaged"):
        journal.read(folder)
    file.unlink()
    file.mkdir()
    with pytest.raises(EnvironmentLacksError, match="damaged"):
        journal.read(folder)


def test_its_folder_is_made_for_root_alone(folder: int) -> None:
    assert os.fstat(folder).st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("folder")
def test_a_folder_that_the_engine_made_is_closed_to_others_and_one_with_something_in_it_is_refused(
    tmp_path: Path,
) -> None:
    state = tmp_path / "state"
    state.chmod(0o755)
    again = journal.opened(make=True)
    assert again is not None
    os.close(again)
    assert state.stat().st_mode & 0o777 == 0o700
    (state / "something").touch()
    state.chmod(0o755)
    with pytest.raises(EnvironmentLacksError, match="chmod 700"):
        journal.opened(make=True)
    assert state.stat().st_mode & 0o777 == 0o755, "who knows whose folder that is"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("make", [True, False])
def test_a_folder_that_others_may_write_into_is_refused(tmp_path: Path, make: bool) -> None:
    state = tmp_path / "state"
    for mode, owner in ((0o770, 0), (0o702, 0), (0o1777, 0), (0o700, 1000)):
        state.chmod(mode)
        os.chown(state, owner, owner)
        with pytest.raises(EnvironmentLacksError, match="others than root may use"):
            journal.opened(make=make)


@pytest.mark.parametrize("make", [True, False])
def test_what_is_no_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: bool) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for each in (os.devnull, str(tmp_path / "link")):
        monkeypatch.setenv("LAB_STATE", each)
        with pytest.raises(EnvironmentLacksError, match="it is no folder"):
            journal.opened(make=make)


def test_where_there_is_no_folder_there_is_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "a" / "b"))
    assert journal.opened(make=False) is None
    with pytest.raises(EnvironmentLacksError, match="make that folder as root"):
        journal.opened(make=True)


@pytest.mark.usefixtures("folder")
def test_who_is_not_root_is_told_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    child = os.fork()
    if child == 0:
        os.setresuid(65534, 65534, 65534)
        try:
            journal.opened(make=False)
        except OutOfReachError as error:
            os._exit(0 if "run as root" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_full_disk_is_told_and_leaves_no_journal(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentLacksError, match=r"No space left on device\), so nothing was changed"):
        journal.write(folder, NOTED)
    assert os.listdir(folder) == []
