"""Mutated captures, by a seed, and what must hold of each: it is judged or refused, soon, and nothing else happens."""

import gzip
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from lab.errors import BadInputError
from lab.pcap.connections import judge_capture
from tests.captures import recorded

SMALL = 9000
"""Bytes: the smaller the capture, the likelier a mutation hits a header."""

HANG_S = 10

Mutation = Callable[[random.Random, bytearray], None]


@dataclass(frozen=True)
class Failure:
    number: int
    data: bytes
    why: str


def seeds() -> list[bytes]:
    """What is mutated: small captures in every format that can be read."""
    found = []
    for path in recorded.ALL:
        link, frames = recorded.frames(path)
        if sum(len(data) for _, _, data in frames) > SMALL:
            continue
        found += [recorded.raw(path), recorded.pcapng(frames, [link, link])]
        found.append(recorded.pcap(frames, link, order=">", nano=True))
        if link == 1:
            number, change = recorded.LINKS["qinq" if len(found) % 2 else "cooked-2"]
            found.append(recorded.pcapng(recorded.relinked(frames, change), [number], order=">"))
    found += [gzip.compress(each) for each in found[::9]]
    return found


def _flip(dice: random.Random, data: bytearray) -> None:
    for _ in range(dice.randint(1, 12)):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _overwrite(dice: random.Random, data: bytearray) -> None:
    at = dice.randrange(len(data))
    size = dice.choice((1, 2, 4, 8, 40))
    value = dice.choice((b"\0", b"\xff", b"\x7f", b"\x80", bytes([dice.randrange(256)])))
    data[at : at + size] = (value * size)[: len(data) - at]


def _cut(dice: random.Random, data: bytearray) -> None:
    at = dice.randrange(len(data))
    del data[at : at + dice.choice((1, 3, 16, 200, len(data)))]


def _repeat(dice: random.Random, data: bytearray) -> None:
    at, to = dice.randrange(len(data)), dice.randrange(len(data))
    data[to:to] = data[at : at + dice.choice((4, 28, 100, 1000))]


def _exchange(dice: random.Random, data: bytearray) -> None:
    size = dice.choice((4, 16, 24, 32))
    one, other = (dice.randrange(max(1, len(data) - size)) for _ in range(2))
    data[one : one + size], data[other : other + size] = data[other : other + size], data[one : one + size]


def _reheader(dice: random.Random, data: bytearray) -> None:
    """Another magic, version, link type or snaplen."""
    magics = (
        b"\xd4\xc3\xb2\xa1",
        b"\xa1\xb2\xc3\xd4",
        b"\x4d\x3c\xb2\xa1",
        b"\n\r\r\n",
        b"\x1f\x8b\x08\0",
        b"\x28\xb5\x2f\xfd",
    )
    data[0:4] = dice.choice(magics)
    if dice.random() < 0.5 and len(data) > 24:
        data[20:24] = dice.choice((0, 1, 12, 101, 108, 113, 228, 276, 147, 0x04000001)).to_bytes(4, "little")


MUTATIONS: tuple[Mutation, ...] = (_flip, _flip, _overwrite, _overwrite, _cut, _repeat, _exchange, _reheader)


def mutants(seed: int) -> Iterator[bytes]:
    """Without end."""
    dice, known = random.Random(seed), seeds()
    while True:
        data = bytearray(dice.choice(known))
        for _ in range(dice.choice((1, 1, 2, 4))):
            if data:
                dice.choice(MUTATIONS)(dice, data)
        yield bytes(data)


class _HangError(Exception):
    """It took longer than HANG_S."""


def run(folder: Path, seed: int, *, deadline: float, most: int | None = None) -> tuple[int, Failure | None]:
    """How many were judged until there were so many, or the deadline (time.monotonic), and the first that failed."""
    path = folder / "mutant"
    count = 0
    signal.signal(signal.SIGALRM, _hang)
    try:
        for count, data in enumerate(mutants(seed), 1):
            if count - 1 == most or time.monotonic() > deadline:
                return count - 1, None
            path.write_bytes(data)
            signal.alarm(HANG_S)
            try:
                judgement = judge_capture(path, annotated=folder / "annotated.pcapng" if count % 16 == 0 else None)
                for _ in judgement.others:
                    pass
            except BadInputError:
                continue
            except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
                return count, Failure(count, data, traceback.format_exc())
    finally:
        signal.alarm(0)
    return count, None


def _hang(_: int, __: FrameType | None) -> None:
    raise _HangError(f"not done after {HANG_S} s")
