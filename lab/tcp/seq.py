"""Sequence numbers live on a circle of 2^32 (RFC 9293 section 3.4): here is the arithmetic that survives the wrap."""

MODULUS = 1 << 32
HALF = MODULUS >> 1


def forward(seq: int, count: int) -> int:
    """The sequence number `count` bytes after `seq`; before it, for a negative count."""
    return (seq + count) % MODULUS


def distance(since: int, until: int) -> int:
    """Bytes from `since` to `until`, from -2^31 to 2^31 - 1; negative when `until` comes first.

    Numbers exactly 2^31 apart have no order (RFC 1982 section 3.2): both come before the other here, as in Linux's
    before(). No window reaches that far: RFC 7323 section 2.3 keeps it under 2^30.
    """
    return (until - since + HALF) % MODULUS - HALF


def before(first: int, second: int) -> bool:
    """Whether `first` comes strictly before `second` on the circle: a negative distance back, without a call for it."""
    return (first - second + HALF) % MODULUS < HALF
