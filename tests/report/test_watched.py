"""What `lab watch` says: a line a connection, and of each that stands who waits for whom, and what would end it."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO

from lab.evidence import Wants
from lab.reason import Qualifier, quoted
from lab.report import watched
from lab.spec import Grade, Outcome, Pair
from lab.verdict import Diagnosis, Edge, LastData, LiveWait, Verdict, WireSummary, Witness
from tests.report.report_samples import at, verdict, without_freeze

NO_WIRE = WireSummary(None, None, Pair(None, None), Pair(None, None), Pair(None, None))
SEEN = (Witness.PROGRAM, Witness.KERNEL)
A, B = "27793/27793 python [shop-web-1]", "27794/27794 postgres [shop-db-1]"
UNTIL = verdict(
    grade=Grade.PROVEN_UNTIL,
    holds_until_ns=at(43_200_000),
    cycle=(Edge(A, Wants.WRITE, B, SEEN), Edge(B, Wants.WRITE, A, SEEN)),
    tail=(Edge("9/9 cat", Wants.READ, A, SEEN),),
    qualifiers=(Qualifier(quoted("unreadable fd tables: 1"), "no-alarm"),),
    wire=NO_WIRE,
)
SUSPECTED = verdict(
    client="[2001:2::198.18.20.20]:54542",
    server="[2001:2::198.18.20.10]:1060",
    live=(LiveWait("7/8 java", quoted("futex: nothing that is known: a time limit")),),
    missing=(quoted("who holds the server's socket: 3 descriptor tables could not be read (CAP_SYS_PTRACE)"),),
    wire=NO_WIRE,
)
IDLE = without_freeze(Outcome.IDLE)
ALL = [IDLE, replace(IDLE, client="127.0.0.1:5", age_s=None), SUSPECTED, UNTIL]


def told(verdicts: list[Verdict], width: int = 99) -> str:
    stream = StringIO()
    watched.show(verdicts, stream=stream, width=width)
    return stream.getvalue()


def test_it_reads_as_reviewed(golden: Callable[[str, str], None]) -> None:
    golden("watched", told(ALL))


def test_every_connection_is_one_line_what_stands_first() -> None:
    lines = told(ALL).splitlines()
    assert lines[0] == "4 connections: 2 deadlock, 2 idle (1 NOT PROVEN)"
    assert [line.split()[2] for line in lines[3:7]] == ["deadlock", "deadlock", "idle", "idle"]


def test_no_line_is_wider_than_asked() -> None:
    for width in (80, 99):
        assert max(map(len, told(ALL, width).splitlines())) <= width


def test_without_connections_it_is_one_line() -> None:
    assert told([]) == "0 connections\n"


def test_what_a_connection_says_of_itself_cannot_act_on_a_terminal() -> None:
    hostile = verdict(cycle=(Edge("1/1 \x1b[2J", Wants.WRITE, "2/2 \x1b]0;x", SEEN),))
    assert "\x1b" not in told([hostile])


def test_what_the_kernel_knows_of_the_last_data_is_said_of_each_end_that_is_seen() -> None:
    seen = replace(UNTIL, last_data=Pair(LastData(8.3, None), LastData(9.0, 0.25)))
    assert "last data   client sent 8.30 s ago, received never; server sent 9.00 s ago, received 250 ms" in told([seen])
    assert "server sent" not in told([replace(UNTIL, last_data=Pair(LastData(8.3, None), None))])


def test_of_a_stall_the_reason_the_waits_and_the_next_step_are_said() -> None:
    why = Diagnosis(quoted("it does not read"), (quoted("ss -t"),), (quoted("9/9 pair waits for its disk"),))
    lines = told([replace(without_freeze(Outcome.ONE_SIDED_STALL), diagnosis=why, seen="client")]).splitlines()
    assert any(line.startswith("one-sided-stall, one end seen: ") for line in lines)
    for said in (" it does not read", " would read  9/9 pair waits for its disk", " next        ss -t"):
        assert said in lines
