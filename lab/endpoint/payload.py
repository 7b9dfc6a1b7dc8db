"""The bytes that travel: numbered records, so that one lost, doubled or swapped byte is seen where it is read.

A record is 16 bytes, `000000000001a2f` and a line feed. After 4099 records they start again. 4099 is a prime number,
so no hole or repetition of a likely size (a segment, a page, a buffer) is a multiple of the 65584 bytes.
"""

RECORDS = 4099
PERIOD = 16 * RECORDS
"""Bytes after which the stream repeats: 65584."""

# Made on import, that is in the parent, which has the time for it: 1 ms.
_RECORDS = b"".join([b"%015x\n" % number for number in range(RECORDS)])


class CorruptError(Exception):
    """A wrong byte came. It is never ignored: TCP promises that this cannot happen."""


class Stream:
    """An endless stream. Up to `widest` bytes of it can be had in one piece, at any offset."""

    def __init__(self, widest: int, upper: bool = False) -> None:
        records = _RECORDS.upper() if upper else _RECORDS
        self._data = records * (1 + -(-widest // PERIOD))
        self.view = memoryview(self._data)

    def piece(self, offset: int, size: int) -> memoryview:
        """No copy is made: a 16-byte message costs a view, not its bytes."""
        start = offset % PERIOD
        return self.view[start : start + size]

    def holds(self, offset: int, block: bytes) -> bool:
        """Whether `block` is what the stream has at `offset`; bytes.startswith compares in place, at memcmp's speed."""
        return self._data.startswith(block, offset % PERIOD)

    def difference(self, offset: int, block: bytes) -> str:
        """Where a wrong block differs first, what was expected there, and what came."""
        expected = self.piece(offset, len(block)).tobytes()
        at = next(index for index, (had, came) in enumerate(zip(expected, block, strict=True)) if had != came)
        return f"at byte {offset + at} expected {expected[at : at + 16]!r}, got {block[at : at + 16]!r}"
