"""Runs in one process, each in new namespaces: in a place it takes longer to start Python than to freeze."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from lab.cli.options import specify
from lab.playing import play_and_judge
from lab.report.contract import as_contract
from lab.testbed import netns
from machines.row import Row, judged, reserves, wrong

Options: TypeAlias = Mapping[str, str]
"""The flags of `lab run` by name, and the scenario."""
SMALL = "4096 8192 8192"
BUFFERS: dict[str, Options] = {
    "squeezed": {"tcp_rmem": SMALL, "tcp_wmem": SMALL},
    "SO_RCVBUF, SO_SNDBUF": {"so_rcvbuf": "64KiB", "so_sndbuf": "64KiB"},
    "IPv6": {"ip": "6"},
}


@contextmanager
def player() -> Iterator[Callable[[str, Options], Row]]:
    """Plays one run after the other, each with a name and options."""
    with netns.warm() as next_site:

        def play(what: str, options: Options) -> Row:
            try:
                spec = specify(options, "netns")
                with next_site(spec) as site:
                    played = play_and_judge(spec, site=site)
            except Exception as error:  # noqa: BLE001 - told in the table, and the next is played
                return wrong(what, "a verdict", f"{type(error).__name__}: {error}")
            document = as_contract(played.verdict)
            return judged(what, played.expected, document, reserves(document))

        yield play


def words(options: Options) -> tuple[str, ...]:
    """The same for a command line."""
    flags = (word for name, value in options.items() if name != "scenario" for word in (_flag(name), value))
    return options["scenario"], *flags


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
