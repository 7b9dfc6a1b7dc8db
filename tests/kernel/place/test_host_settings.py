"""Settings of the whole host are lent, one lab at a time, and put back however it ends.

The settings here are files in a folder (LAB_SYS), so that nothing of this machine changes; the real ones are those of
tests/cli/test_host_sysctl.py.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from lab.errors import EnvironmentLacksError, LabError
from lab.kernel import procfs
from lab.kernel.place import host_settings, journal, netns, sysctl
from lab.kernel.place.host_settings import applied
from lab.kernel.place.journal import Change, Journal, OutOfReachError
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.root

BEFORE = {"rmem_max": "212992", "wmem_max": "212993", "rmem_default": "212994", "wmem_default": "212995"}
WISH = {"rmem_max": 131071, "wmem_default": 5000}
LENT = BEFORE | {"rmem_max": "131071", "wmem_default": "5000"}
Running = Callable[[dict[str, int]], BaseProcess]
forked = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for /proc/sys/net/core."""
    folder = tmp_path / "sys/net/core"
    folder.mkdir(parents=True)
    for key, value in BEFORE.items():
        (folder / key).write_text(value)
    monkeypatch.setenv("LAB_SYS", str(tmp_path / "sys"))
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))
    return folder


@pytest.fixture
def living() -> Iterator[Running]:
    """Starts labs that hold changed settings until they are ended."""
    started: list[BaseProcess] = []

    def start(wish: dict[str, int]) -> BaseProcess:
        ready = forked.Event()
        process = forked.Process(target=_hold, args=(wish, ready))
        process.start()
        started.append(process)
        assert ready.wait(LIMIT_S)
        return process

    yield start
    for each in started:
        each.kill()
        each.join(LIMIT_S)


def _hold(wish: dict[str, int], ready: Event) -> None:
    with applied(wish):
        ready.set()
        signal.pause()


def journals() -> list[str]:
    return os.listdir(journal.path())


def test_it_is_as_wished_meanwhile_and_as_before_afterwards() -> None:
    with applied(WISH) as before:
        assert before == BEFORE
        assert sysctl.read_core() == LENT
        assert journals() == [journal.NAME]
    assert sysctl.read_core() == BEFORE
    assert journals() == []


def test_without_a_wish_nothing_is_touched() -> None:
    with applied({}) as before:
        assert before == {}
        assert not journal.path().exists()


@pytest.mark.parametrize("failure", [ValueError(), KeyboardInterrupt(), SystemExit()])
def test_whatever_breaks_it_off_it_is_put_back(failure: BaseException) -> None:
    with suppress(type(failure)), applied(WISH):
        raise failure
    assert sysctl.read_core() == BEFORE
    assert journals() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_midst_of_putting_back_does_not_stop_it(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    class RaisedError(BaseException):
        pass

    def raise_(*_: object) -> None:
        raise RaisedError

    before = signal.signal(number, raise_)
    write = sysctl.write_core

    def interrupted(values: dict[str, str]) -> None:
        signal.pthread_kill(threading.get_ident(), number)  # one to the process might go to another thread
        write(values)

    try:
        with pytest.raises(RaisedError), applied(WISH):
            monkeypatch.setattr(sysctl, "write_core", interrupted)
    finally:
        signal.signal(number, before)
    assert sysctl.read_core() == BEFORE
    assert journals() == []


def test_after_a_signal_that_came_before_signals_were_masked_it_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal may come while signals are being blocked: then the second of the two undoes does all of it."""
    calls: list[int] = []

    def broken_into() -> AbstractContextManager[None]:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return netns.signals_held()

    with pytest.raises(KeyboardInterrupt), applied(WISH):
        monkeypatch.setattr(host_settings, "signals_held", broken_into)
    assert sysctl.read_core() == BEFORE
    assert journals() == []


def test_the_journal_is_on_disk_before_the_first_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails finds the journal there, and in the end both are undone."""
    seen: list[Journal] = []

    def refuse(_: dict[str, str]) -> None:
        descriptor = journal.opened(make=False)
        assert descriptor is not None
        noted = journal.read(descriptor)
        os.close(descriptor)
        assert noted is not None
        seen.append(noted)
        raise EnvironmentLacksError("refused")

    monkeypatch.setattr(sysctl, "write_core", refuse)
    with pytest.raises(EnvironmentLacksError, match="refused"), applied(WISH):
        pytest.fail("it was refused")
    (noted,) = seen
    assert (noted.boot_id, noted.pid) == (procfs.boot_id(), os.getpid())
    assert noted.changes == (Change("rmem_max", "212992", "131071"), Change("wmem_default", "212995", "5000"))
    assert journals() == []
    assert sysctl.read_core() == BEFORE


def test_a_value_that_somebody_else_wrote_meanwhile_is_left_and_told(core: Path) -> None:
    said: list[str] = []
    with applied(WISH, say=said.append):
        (core / "rmem_max").write_text("999999")
    assert sysctl.read_core() == BEFORE | {"rmem_max": "999999"}
    assert len(said) == 1
    assert "net.core.rmem_max is 999999" in said[0]
    assert "212992 before the lab" in said[0]
    assert journals() == []


@pytest.mark.parametrize("whole", [False, True], ids=["the journal", "its folder"])
def test_who_removes_the_journal_of_a_living_lab_does_not_keep_it_from_putting_back(whole: bool) -> None:
    with applied(WISH):
        (journal.path() / journal.NAME).unlink()
        if whole:
            journal.path().rmdir()
    assert sysctl.read_core() == BEFORE


def test_after_kill_9_restore_puts_it_back_and_names_it(living: Running) -> None:
    lab = living(WISH)
    assert sysctl.read_core() == LENT
    lab.kill()
    lab.join(LIMIT_S)
    assert sysctl.read_core() == LENT
    assert [(each.name, each.as_before) for each in host_settings.restore()] == [
        ("net.core.rmem_max", True),
        ("net.core.wmem_default", True),
    ]
    assert sysctl.read_core() == BEFORE
    assert journals() == []
    assert host_settings.restore() == []


def test_after_kill_9_what_somebody_else_wrote_is_left_and_told(living: Running, core: Path) -> None:
    lab = living(WISH)
    lab.kill()
    lab.join(LIMIT_S)
    (core / "rmem_max").write_text("999999")
    told = {each.name: each for each in host_settings.restore()}
    assert (told["net.core.rmem_max"].as_before, told["net.core.wmem_default"].as_before) == (False, True)
    assert "999999" in told["net.core.rmem_max"].why
    assert sysctl.read_core() == BEFORE | {"rmem_max": "999999"}
    assert journals() == []


def test_the_next_wish_puts_back_first_and_says_so(living: Running) -> None:
    lab = living(WISH)
    lab.kill()
    lab.join(LIMIT_S)
    said: list[str] = []
    with applied({"wmem_max": 7000}, say=said.append) as before:
        assert before == BEFORE
        assert sysctl.read_core() == BEFORE | {"wmem_max": "7000"}
    assert sysctl.read_core() == BEFORE
    assert len(said) == 2
    assert "net.core.rmem_max is 212992 again" in said[0]


def test_the_next_start_without_a_wish_puts_back_too_and_says_so(living: Running) -> None:
    dead = living({"rmem_max": 131071})
    said: list[str] = []
    with applied({}, say=said.append):
        assert sysctl.read_core() == BEFORE | {"rmem_max": "131071"}, "its lab lives"
    assert said == []
    dead.kill()
    dead.join(LIMIT_S)
    with applied({}, say=said.append) as before:
        assert before == {}
        assert sysctl.read_core() == BEFORE
    assert "net.core.rmem_max is 212992 again; a lab that was killed had made it 131071" in said
    assert journals() == []


def test_what_it_cannot_put_back_is_told_and_does_not_keep_a_start_without_a_wish_from_its_work() -> None:
    journal.path().mkdir(mode=0o700)
    (journal.path() / journal.NAME).write_text('{"format": "zero-window')
    said: list[str] = []
    with applied({}, say=said.append):
        (line,) = said
    assert "is damaged or was not written by the lab" in line


def test_a_living_lab_is_never_touched(living: Running) -> None:
    lab = living(WISH)
    with pytest.raises(OutOfReachError, match=f"the lab of process {lab.pid} .*net.core.rmem_max 131071, was 212992"):
        host_settings.restore()
    assert sysctl.read_core() == LENT
    pending = host_settings.pending()
    assert pending is not None
    assert (pending.lives, pending.journal.pid) == (True, lab.pid)


def test_another_wish_waits_with_a_word_up_to_a_limit_and_then_says_who_has_it(living: Running) -> None:
    lab = living(WISH)
    said: list[str] = []
    with (
        pytest.raises(EnvironmentLacksError, match=rf"the lab of process {lab.pid} .*: waited 0\.5 s") as raised,
        applied({"rmem_max": 99999}, limit_s=0.5, say=said.append),
    ):
        pytest.fail("two labs at once")
    assert raised.value.exit_code == 4
    assert len(said) == 1
    assert f"process {lab.pid}" in said[0]
    assert "waiting" in said[0]
    assert sysctl.read_core() == LENT


def test_a_wish_that_waited_begins_where_the_other_ends(living: Running) -> None:
    lab = living(WISH)

    def end(_: str) -> None:
        lab.kill()  # its first line is that it waits
        lab.join(LIMIT_S)

    with applied({"rmem_max": 99999}, limit_s=LIMIT_S, say=end) as before:
        assert before == BEFORE
        assert sysctl.read_core() == BEFORE | {"rmem_max": "99999"}
    assert sysctl.read_core() == BEFORE


def test_the_same_wish_waits_too(living: Running) -> None:
    living(WISH)
    with pytest.raises(OutOfReachError), applied(WISH, limit_s=0.1):
        pytest.fail("two labs at once")


def test_a_wish_for_what_is_already_so_changes_nothing_and_still_keeps_others_out(living: Running) -> None:
    lab = living({"rmem_max": 212992})
    assert sysctl.read_core() == BEFORE
    with pytest.raises(OutOfReachError, match="no change"), applied(WISH, limit_s=0):
        pytest.fail("two labs at once")
    lab.kill()
    lab.join(LIMIT_S)
    assert host_settings.restore() == []
    assert journals() == []


def noted(boot_id: str) -> None:
    folder = journal.opened(make=True)
    assert folder is not None
    journal.write(folder, Journal(boot_id, 1, (Change("rmem_max", "4096", "212992"),)))
    os.close(folder)


def test_after_a_new_start_of_the_machine_there_is_nothing_to_undo_and_it_says_so() -> None:
    noted("another boot")
    pending = host_settings.pending()
    assert pending is not None
    assert not pending.of_this_boot
    (told,) = host_settings.restore()
    assert told.as_before
    assert "nothing to undo" in told.why
    assert sysctl.read_core() == BEFORE
    assert journals() == []


def test_a_journal_that_was_never_finished_says_nothing_and_goes() -> None:
    """Its lab was killed before the first write."""
    noted(procfs.boot_id())
    (journal.path() / journal.NAME).rename(journal.path() / journal.UNFINISHED)
    assert host_settings.restore() == []
    assert sysctl.read_core() == BEFORE
    assert journals() == []


def test_a_torn_journal_stops_a_wish_and_a_restore_and_nothing_is_written() -> None:
    noted(procfs.boot_id())
    file = journal.path() / journal.NAME
    torn = file.read_bytes()[:50]
    file.write_bytes(torn)
    for attempt in (host_settings.restore, host_settings.pending, lambda: applied(WISH).__enter__()):
        with pytest.raises(LabError, match="damaged") as raised:
            attempt()
        assert raised.value.exit_code == 4
    assert sysctl.read_core() == BEFORE
    assert file.read_bytes() == torn


def test_where_it_cannot_be_put_back_the_journal_stays_for_who_can(monkeypatch: pytest.MonkeyPatch, core: Path) -> None:
    noted(procfs.boot_id())

    def refuse(_: dict[str, str]) -> None:
        raise EnvironmentLacksError("read-only")

    with monkeypatch.context() as patch:
        patch.setattr(sysctl, "write_core", refuse)
        with pytest.raises(EnvironmentLacksError, match=r"cannot make net\.core\.rmem_max 4096 again \(read-only\)"):
            host_settings.restore()
    assert journals() == [journal.NAME]
    host_settings.restore()
    assert (core / "rmem_max").read_text() == "4096"


def test_a_key_that_is_not_there_is_one_clear_error_and_no_folder_is_made(core: Path) -> None:
    (core / "rmem_max").unlink()
    with pytest.raises(EnvironmentLacksError, match=r"net\.core\.rmem_max is the whole host's"), applied(WISH):
        pytest.fail("there is nothing to write")
    assert not journal.path().exists()
