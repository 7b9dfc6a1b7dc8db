"""The result of one point: one row of the table, flat and typed, the settings first."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The fields are the columns. Sizes are bytes, `*_ns` count from the epoch; None is unknown or not applicable."""

    key: str
    settings: str
    """The flags that the grid gave it, as a JSON object."""
    repetition: int
    scenario: str
    remedy: str | None
    payload: int
    send_size: int
    recv_size: int
    server_block: int
    paced_s: float
    ip: int
    client_nodelay: bool
    server_nodelay: bool
    client_congestion: str | None
    """The algorithm in force: the socket's own, else the namespace's."""
    server_congestion: str | None
    client_tcp_rmem: str | None
    """The four triples as read back from the two namespaces."""
    client_tcp_wmem: str | None
    server_tcp_rmem: str | None
    server_tcp_wmem: str | None
    client_so_rcvbuf: int | None
    """The four socket options as asked for."""
    client_so_sndbuf: int | None
    server_so_rcvbuf: int | None
    server_so_sndbuf: int | None
    mtu: int | None
    buffers_most: int | None
    """What the forecast says that the four buffers can hold together, as the kernel charges it."""

    outcome: str | None
    grade: str | None
    error: str | None
    """Why there is no outcome."""
    expected: str | None
    """What the forecast allows: one outcome, or two with ` or ` between."""
    as_expected: bool | None
    """None for an outcome that no forecast speaks of: inconclusive, or another stall of a scenario that freezes."""
    client_accepted: int | None
    server_processed: int | None
    client_rcvbuf: int | None
    """The four buffers at the end: autotuning changes them."""
    client_sndbuf: int | None
    server_rcvbuf: int | None
    server_sndbuf: int | None
    client_accepted_low: int | None
    client_accepted_point: int | None
    client_accepted_high: int | None
    server_processed_low: int | None
    server_processed_point: int | None
    server_processed_high: int | None

    started_ns: int
    seconds: float | None
    """From the creation of the namespaces to the verdict."""
    seal_ns: int | None
    proved_ns: int | None
    kernel: str
    host: str
