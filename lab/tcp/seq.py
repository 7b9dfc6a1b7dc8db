"""Arithmetic and order of sequence numbers, which are modulo 2^32 (RFC 9293 section 3.4)."""

MODULUS = 1 << 32
HALF = MODULUS >> 1


def forward(seq: int, count: int) -> int:
    """The sequence number `count` bytes after `seq`; before it if `count` is negative."""
    return (seq + count) % MODULUS


def distance(since: int, until: int) -> int:
    """Bytes from `since` to `until`, from -2^31 to 2^31 - 1; negative if `until` comes first.

    Numbers exactly 2^31 apart have no order (RFC 1982 section 3.2). Here each comes before the other, as in Linux's
    before(). No window reaches that far: RFC 7323 section 2.3 keeps it under 2^30.
    """
    return (until - since + HALF) % MODULUS - HALF


def before(first: int, second: int) -> bool:
    """Whether `first` comes strictly before `second`, modulo 2^32."""
    return (first - second + HALF) % MODULUS < HALF
