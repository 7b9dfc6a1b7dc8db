"""The three witnesses one below the other: what the programs, the kernel and the wire say of each end."""

from collections.abc import Callable, Sequence

from rich.table import Table
from rich.text import Text

from lab.evidence import Evidence, Moment, SocketSample, ThreadSample
from lab.report.conclusion import began_ns
from lab.report.escape import plain
from lab.report.page import count, duration
from lab.report.side import ShownSide
from lab.spec import Pair, Role
from lab.tcp.connection import ProbeKind
from lab.verdict import Testimony, Verdict, Witness

WitnessRow = tuple[str, str, str]
"""The name of a fact, and its value at the client and at the server."""

SHOWN_THREADS = 4
COLOURS = {
    Testimony.AGREES: "green",
    Testimony.SILENT: "dim",
    Testimony.DISAGREES: "bold red",
    Testimony.MISSING: "yellow",
}


def witnesses(verdict: Verdict, evidence: Evidence, sides: Pair[ShownSide], *, standing: bool) -> Table:
    """`standing`: the pair stands still. If it does not, facts that change from moment to moment are left out."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in (" witness", "", f"client {verdict.client or ''}", f"server {verdict.server or ''}"):
        table.add_column(heading, overflow="fold")
    said = verdict.witnesses
    _add(table, Witness.PROGRAM, said.program, _program_rows(sides))
    _add(table, Witness.KERNEL, said.kernel, _kernel_rows(sides, standing=standing))
    _add(table, Witness.WIRE, said.wire, _wire_rows(verdict, evidence, standing=standing))
    return table


def _add(table: Table, name: Witness, testimony: Testimony, rows: list[WitnessRow]) -> None:
    """The first line has the name of the witness, the second its testimony."""
    heads = [Text(f" {name}", "bold"), Text(f" {testimony}", COLOURS[testimony])]
    rows = rows + [("", "", "")] * (len(heads) - len(rows))
    for number, (what, client, server) in enumerate(rows):
        head = heads[number] if number < len(heads) else Text("")
        table.add_row(head, Text(what, "dim"), Text(client), Text(server), end_section=number == len(rows) - 1)


def _program_rows(sides: Pair[ShownSide]) -> list[WitnessRow]:
    columns = [_threads(side) for side in sides]
    height = max(len(column) for column in columns)
    client, server = ([*column, *[""] * (height - len(column))] for column in columns)
    labels = ["waits in", "thread"] * height
    return list(zip(labels, client, server, strict=False))


def _threads(side: ShownSide) -> list[str]:
    """Two lines for each thread."""
    if side.ended:
        counted = f"wrote {count(side.ended.sent)}, read {count(side.ended.received)}"
        return ["has ended" if side.ended.error is None else f"failed: {counted}"]
    texts = [text for thread in side.threads[:SHOWN_THREADS] for text in _waiting(side, thread)]
    if len(side.threads) > SHOWN_THREADS:
        texts.append(f"and {len(side.threads) - SHOWN_THREADS} threads more")
    return texts or ["not known"]


def _waiting(side: ShownSide, thread: ThreadSample) -> tuple[str, str]:
    where = " on this connection" if side.on_connection(thread) else ""
    number = "" if thread.pid == thread.tid else f", tid {thread.tid}"
    return f"{thread.syscall or 'not known'}{where}", f"{plain(thread.comm)}, pid {thread.pid}{number}"


def _kernel_rows(sides: Pair[ShownSide], *, standing: bool) -> list[WitnessRow]:
    momentary: dict[str, Callable[[SocketSample], str]] = {
        "state": lambda socket: socket.state,
        "Recv-Q, Send-Q": lambda socket: f"{socket.rqueue:,}, {socket.wqueue:,}",
        "snd_wnd, rcv_wnd": lambda socket: f"{count(socket.snd_wnd)}, {count(socket.rcv_wnd)}",
        "timer": _timer,
    }
    rows = [_row(what, [_of(side, fact) for side in sides]) for what, fact in momentary.items()] if standing else []
    return rows + [_row(name, [_buffer(side, name) for side in sides]) for name in ("rcvbuf", "sndbuf")]


def _row(what: str, ends: Sequence[str]) -> WitnessRow:
    client, server = ends
    return what, client, server


def _of(side: ShownSide, fact: Callable[[SocketSample], str]) -> str:
    return fact(side.socket) if side.socket else "not known"


def _timer(socket: SocketSample) -> str:
    if socket.timer == "none":
        return "none"
    return f"{socket.timer}, backoff {socket.backoff}, in {socket.expires_ms} ms"


def _buffer(side: ShownSide, name: str) -> str:
    """The size after connect() or accept(), by getsockopt(), and the size after autotuning if that is another."""
    first = getattr(side.connected, name) if side.connected else None
    last = getattr(side.socket, name) if side.socket else None
    if first is None or last is None or first == last:
        return count(last if first is None else first)
    return f"{first:,} at first, now {last:,}"


def _wire_rows(verdict: Verdict, evidence: Evidence, *, standing: bool) -> list[WitnessRow]:
    taken, wire = evidence.capture, verdict.wire
    if taken is None:
        return [("not captured", "", "")]
    rows = [
        _row("zero windows", [count(number) for number in wire.zero_windows]),
        _row("the first", [_moment(first, evidence) for first in evidence.wire.first_zero_window]),
    ]
    if standing:
        rows.append(_row("probes", [count(number) for number in wire.probes]))
        rows.append(_row("the last", [_moment(last, evidence) for last in _last_probes(evidence)]))
    dropped = "not known how many were" if taken.dropped is None else f"{taken.dropped:,}"
    rows.append(("captured", f"{taken.frames:,} packets, {dropped} dropped", ""))
    return rows


def _last_probes(evidence: Evidence) -> list[Moment | None]:
    probes = [event for event in evidence.wire.events if event.kind is not ProbeKind.SILLY_WINDOW]
    return [next((event.moment for event in reversed(probes) if event.role is role), None) for role in Role]


def _moment(moment: Moment | None, evidence: Evidence) -> str:
    """Its number in Wireshark, and its time after the first packet of the connection."""
    if moment is None:
        return "none"
    return f"packet {moment.frame}, +{duration((moment.time_ns - began_ns(evidence)) / 1e9)}"
