"""The text of `lab limits`, and its table in Markdown."""

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO

from lab.report import limits


@dataclass(frozen=True, slots=True)
class Found:
    claim: str
    published: str | None
    measured: str | None
    holds: bool | None
    why: str
    scope: str


ROWS = (
    Found("the least SO_RCVBUF is 256", "256", "2304", False, "room for one packet with its bookkeeping", "socket"),
    Found(
        "SO_RCVBUF is doubled", "65536 -> 131072", "65536 -> 131072", True, "as much again for bookkeeping", "socket"
    ),
    Found(
        "tcp_rmem belongs to a network namespace", None, None, None, "not measured: \x1b[2J run as root", "namespace"
    ),
)


def test_a_claim_stands_beside_what_was_measured(stream: StringIO, golden: Callable[[str, str], None]) -> None:
    limits.show(ROWS, stream)
    golden("limits", stream.getvalue())


def test_no_byte_of_a_reason_acts_on_the_terminal(stream: StringIO) -> None:
    limits.show(ROWS, stream)
    assert "\x1b" not in stream.getvalue()


def test_the_markdown_is_one_table() -> None:
    lines = limits.markdown(ROWS).split("\n")
    assert len(lines) == 2 + len(ROWS)
    assert {line.count("|") for line in lines} == {7}
    assert (
        lines[2]
        == "| the least SO_RCVBUF is 256 | 256 | 2304 | no | socket | room for one packet with its bookkeeping |"
    )
