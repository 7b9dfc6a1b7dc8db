"""The three witnesses, told apart."""

from dataclasses import replace
from io import StringIO

from lab import verdict as opinion
from lab.evidence import Evidence
from lab.report import page
from lab.report.side import sides
from lab.report.witnesses import witnesses
from lab.spec import Pair, Role
from tests.report.report_samples import AUTOTUNED, FROZEN, evidence, snapshot, socket, thread, verdict


def rows(case: tuple[opinion.Verdict, Evidence], *, standing: bool = True) -> str:
    stream = StringIO()
    page.show([witnesses(*case, sides(case[1]), standing=standing)], stream, width=99)
    return stream.getvalue()


def test_the_kernel_names_queues_windows_timers_and_backoff_of_both_sockets() -> None:
    shown = rows(FROZEN)
    for fact in ("5,928, 4,736", "6,144, 7,800", "0, 0", "persist, backoff 1, in 136 ms", "in 88 ms"):
        assert fact in shown


def test_the_wire_gives_packets_by_number_and_time_since_the_connection() -> None:
    shown = rows(FROZEN)
    for fact in ("packet 13, +3.78 ms", "packet 8, +3.72 ms", "packet 38, +308 ms", "packet 36, +276 ms"):
        assert fact in shown


def test_buffers_that_grew_are_given_as_they_were_and_as_they_are() -> None:
    assert "8,192 at first, now 33,554,432" in rows(AUTOTUNED)
    assert "at first" not in rows(FROZEN)


def test_each_witness_says_whether_it_agrees() -> None:
    words = opinion.Testimony
    torn = verdict(witnesses=opinion.Testimonies(words.AGREES, words.DISAGREES, words.MISSING))
    shown = rows((torn, evidence()))
    assert shown.index("agrees") < shown.index("disagrees") < shown.index("missing")


def test_a_pair_that_moves_is_not_shown_by_its_last_instant() -> None:
    assert "Recv-Q" not in rows(FROZEN, standing=False)


def test_a_name_of_a_program_cannot_steer_the_terminal() -> None:
    threads = (thread(Role.CLIENT, "sendto", comm="\x1b[2J[red]x"), thread(Role.SERVER, "sendto"))
    assert r"\x1b[2J[red]x, pid 21446" in rows((verdict(), evidence(snapshots=(snapshot(threads=threads),))))


def test_many_threads_are_counted_and_not_listed() -> None:
    workers = tuple(replace(thread(Role.CLIENT, "futex", inode=None), tid=n) for n in range(30))
    shown = rows((verdict(), evidence(snapshots=(snapshot(threads=workers),))))
    assert "and 26 threads more" in shown
    assert "tid 3" in shown


def test_a_window_that_the_kernel_does_not_tell_is_not_known() -> None:
    sockets = Pair(socket(Role.CLIENT, rcv_wnd=None, snd_wnd=0), None)
    shown = rows((verdict(), evidence(snapshots=(snapshot(sockets),))))
    assert "0, not known" in shown
