"""Draws the two programs and the four buffers as a loop, with the bytes in each buffer and what stops them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from rich.console import Console, ConsoleOptions
from rich.text import Text

from lab.report.page import figure
from lab.report.side import ShownSide
from lab.spec import Outcome, Pair, Role
from lab.verdict import Account

STUCK, FRAME, FIGURE = "red", "cyan", "bold"
CENTRES = {
    Outcome.DEADLOCK: "each waits until the other reads: a circle",
    Outcome.READ_READ: "each waits until the other writes: a circle",
    Outcome.ONE_SIDED_STALL: "one side waits: no circle",
}


@dataclass(frozen=True, slots=True)
class _Widths:
    """Columns inside the program boxes and the queue boxes, and in the gaps between them."""

    program: int
    queue: int
    beside: int
    between: int

    @property
    def whole(self) -> int:
        return 2 * (self.program + 2 + self.queue + 2 + self.beside) + self.between


WIDE, NARROW = _Widths(14, 17, 9, 10), _Widths(13, 11, 7, 8)
BODY = 7
"""Lines inside a program's box: two lanes of four and the centre, less the box's own edges."""
Styled: TypeAlias = tuple[str, str]
"""Text and its style."""


@dataclass(frozen=True, slots=True)
class _Step:
    label: str
    stuck: bool


@dataclass(frozen=True, slots=True)
class _Queue:
    title: str
    held: int | None
    charged: float | None
    """The share of the buffer that the kernel charges for the queue: payload and bookkeeping."""


@dataclass(frozen=True, slots=True)
class _Lane:
    """One direction: from the sender's program through two queues to the peer's program."""

    steps: tuple[_Step, _Step, _Step]
    send: _Queue
    receive: _Queue


@dataclass(frozen=True, slots=True)
class Picture:
    """A rich renderable. Needs 78 columns; with fewer it is a list."""

    account: Account
    sides: Pair[ShownSide]
    outcome: Outcome

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        widths = next((each for each in (WIDE, NARROW) if each.whole < options.max_width), None)
        yield from self._loop(widths) if widths else self._list()

    def _loop(self, w: _Widths) -> Iterator[Text]:
        there, back = self._lane(Role.CLIENT), self._lane(Role.SERVER)
        client, server = (_box(self.sides[role], self._counters(role), w.program) for role in Role)
        middle = [*_rows(there, w, backward=False), [self._centre(w)], *_rows(back, w, backward=True)]
        yield _titles(w, there.send.title, there.receive.title)
        for left, row, right in zip(client, middle, server, strict=True):
            yield Text.assemble(" ", left, *row, right, no_wrap=True, overflow="ignore")
        yield _titles(w, back.receive.title, back.send.title)

    def _centre(self, w: _Widths) -> Styled:
        return CENTRES.get(self.outcome, "").center(w.whole - 2 * (w.program + 2)), "italic"

    def _list(self) -> Iterator[Text]:
        for role in Role:
            lane = self._lane(role)
            for text in (
                f"{role} program: {lane.steps[0].label}",
                f"{lane.send.title}: {figure(lane.send.held)}, {lane.steps[1].label}",
                f"{lane.receive.title}: {figure(lane.receive.held)}, {lane.steps[2].label}",
            ):
                yield Text(f" {text.rstrip(', ')}")

    def _counters(self, role: Role) -> list[tuple[str, int | None]]:
        account = self.account
        if role is Role.CLIENT:
            return [("has written", account.client_accepted), ("has read", account.client_processed)]
        held: list[tuple[str, int | None]] = [("in hand", account.in_hand)]
        return [("has read", account.server_processed), *(held if answers(account) else [])]

    def _lane(self, role: Role) -> _Lane:
        account, sender, receiver = self.account, self.sides[role], self.sides[role.peer]
        of_client = role is Role.CLIENT
        sent = account.client_send_queue if of_client else account.server_send_queue
        received = account.server_receive_queue if of_client else account.client_receive_queue
        return _Lane(
            (_writing(sender), _flowing(sender), _reading(receiver, received)),
            _Queue(f"{role} send queue", sent, _charged_to_send(sender)),
            _Queue(f"{role.peer} receive queue", received, _charged_to_receive(receiver)),
        )


def answers(account: Account) -> bool:
    """Whether the server answers. If it does not, `in_hand` alone is None."""
    return account.in_hand is not None or account.server_processed is None


def _writing(side: ShownSide) -> _Step:
    return _Step("no room", True) if side.sends else _Step("", False)


def _flowing(side: ShownSide) -> _Step:
    """The window of the peer, as the socket of this side knows it."""
    socket = side.socket
    if socket is None or socket.snd_wnd is None:
        return _Step("window ?", False)
    if socket.snd_wnd == 0:
        return _Step("window 0", socket.wqueue > 0)
    return _Step(f"open {_short(socket.snd_wnd)}", False)


def _reading(side: ShownSide, held: int | None) -> _Step:
    if held:
        return _Step("unread", not side.receives)
    return _Step("empty" if held == 0 and side.receives else "", held == 0 and side.receives)


def _charged_to_send(side: ShownSide) -> float | None:
    return side.socket.wmem_queued / side.socket.sndbuf if side.socket and side.socket.sndbuf else None


def _charged_to_receive(side: ShownSide) -> float | None:
    return side.socket.rmem_alloc / side.socket.rcvbuf if side.socket and side.socket.rcvbuf else None


def _short(window: int) -> str:
    return str(window) if window < 1000 else f"{window // 1000}k" if window < 10**6 else f"{window // 10**6}M"


def _titles(w: _Widths, left: str, right: str) -> Text:
    """The titles, centred on the boxes; without the role if there is too little room."""
    wider = 4
    field = w.queue + 2 + wider
    if max(len(left), len(right)) > field:
        left, right = (title.partition(" ")[2] for title in (left, right))
    indent = " " * (1 + w.program + 2 + w.beside - wider // 2)
    return Text(f"{indent}{left:^{field}}{'':{w.between - wider}}{right:^{field}}", no_wrap=True, overflow="ignore")


def _box(side: ShownSide, counters: list[tuple[str, int | None]], width: int) -> list[Text]:
    """A program: the system call that it is in, and its counters."""
    thread = side.foremost
    if side.ended:
        doing, style = "has ended", ""
    else:
        doing, style = f"in {thread.syscall}" if thread and thread.syscall else "", STUCK if side.sends else ""
    lines = [(doing, style)]
    lines.append((f"pid {thread.pid}" if thread else "", ""))
    for name, number in counters:
        lines += [(name, ""), (figure(number).rjust(width - 2), FIGURE)]
    lines.insert(2, ("", ""))
    lines += [("", "")] * (BODY - len(lines))
    top = Text.assemble(("╭ ", FRAME), (side.role, "bold"), (" " + "─" * (width - len(side.role) - 2) + "╮", FRAME))
    bottom = Text("╰" + "─" * width + "╯", FRAME)
    body = [
        Text.assemble(("│", FRAME), (f" {text[: width - 1]:{width - 1}}", style), ("│", FRAME)) for text, style in lines
    ]
    return [top, *body, bottom]


def _rows(lane: _Lane, w: _Widths, *, backward: bool) -> Iterator[list[Styled]]:
    """Four rows between the boxes of the programs; a lane that runs backward has its parts in reverse order."""
    gaps = (w.beside, w.between, w.beside)
    queues = [_queue_rows(queue, w.queue) for queue in (lane.send, lane.receive)]
    for row in range(4):
        between = [_gap(row, step, gap, backward) for step, gap in zip(lane.steps, gaps, strict=True)]
        parts = [between[0], queues[0][row], between[1], queues[1][row], between[2]]
        yield [segment for part in (reversed(parts) if backward else parts) for segment in part]


def _gap(row: int, step: _Step, width: int, backward: bool) -> list[Styled]:
    """One of the four rows of a gap: the label stands beside the figure, and the arrow beside the bar."""
    style = STUCK if step.stuck else ""
    texts = ("", step.label, _arrow(width, stuck=step.stuck, backward=backward), "")
    return [(f"{texts[row]:^{width}}", style)]


def _arrow(width: int, *, stuck: bool, backward: bool) -> str:
    shaft = "─" * (width - 3)
    if stuck:
        middle = len(shaft) // 2
        shaft = f"{shaft[:middle]}╳{shaft[middle + 1 :]}"  # noqa: RUF001
    return f"◀{shaft}" if backward else f"{shaft}▶"


def _queue_rows(queue: _Queue, width: int) -> list[list[Styled]]:
    held = figure(queue.held)
    words = f"{held} bytes" if queue.held is not None and len(held) + 8 <= width else held
    full = 0 if queue.charged is None else round(min(1.0, queue.charged) * (width - 2))
    edge = ("│", FRAME)
    return [
        [("┌" + "─" * width + "┐", FRAME)],
        [edge, (f"{words.rjust(width - 1)} ", FIGURE), edge],
        [edge, (" " + "█" * full, "yellow"), ("░" * (width - 2 - full) + " ", "dim"), edge],
        [("└" + "─" * width + "┘", FRAME)],
    ]
