"""One direction of a connection while nobody reads: what is claimed of it, and whether what moves later refutes it."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from lab.evidence import SocketSample

STILL_MS = 1000.0
"""Nothing has moved for so long at the end: it stands still."""


class Claim(NamedTuple):
    rule: str
    of_writer: bool = False
    """That no byte can be written any more; else, that none can be sent."""


@dataclass(slots=True)
class Followed:
    """Times in milliseconds, of the clock that the caller has."""

    began_ms: float
    """When reading ended."""
    claims: dict[Claim, float] = field(default_factory=dict)
    """When each was made first, if nothing has refuted it."""
    refuted: list[Claim] = field(default_factory=list)
    moved_ms: float = 0.0
    """Of the last sample before the one that first showed the bytes as they are: the last byte moved since then."""
    _seen_ms: float = 0.0
    _sent: tuple[int, int, bool] | None = None
    _written: int | None = None
    queued: bool = False
    """Whether there is something to send."""
    window_open: bool = False
    """At the end the peer's true window was not 0: something will move, or is tried."""

    def __post_init__(self) -> None:
        self.moved_ms = self._seen_ms = self.began_ms

    def see(self, at_ms: float, sender: SocketSample, peer: SocketSample) -> None:
        """What moves after a claim refutes it. A window that opens does, too."""
        sent = sender.bytes_acked, peer.bytes_received, bool(sender.snd_wnd)
        written = sender.bytes_acked + sender.wqueue
        if sent != self._sent:
            self._refute(of_writer=False)
        if written != self._written:
            self._refute(of_writer=True)
        if (written, sent[:2]) != (self._written, self._sent and self._sent[:2]):
            self.moved_ms = self._seen_ms
        self._sent, self._written, self._seen_ms, self.queued = sent, written, at_ms, sender.wqueue > 0

    def _refute(self, *, of_writer: bool) -> None:
        for claim in [each for each in self.claims if each.of_writer is of_writer]:
            self.refuted.append(claim)
            del self.claims[claim]

    def claim(self, at_ms: float, claims: Iterable[Claim]) -> None:
        for each in claims:
            self.claims.setdefault(each, at_ms)

    def opened(self) -> None:
        """The peer's true window is not 0 at the end."""
        self.window_open = True
        self._refute(of_writer=False)

    @property
    def blocked_ms(self) -> float | None:
        """Since when its writer is called blocked for good, by whatever argument."""
        return min((at_ms for claim, at_ms in self.claims.items() if claim.of_writer), default=None)

    def closed_ms(self, but_by: Container[str] = ()) -> float | None:
        """Since when the window is called closed, by any rule but these."""
        times = (at for claim, at in self.claims.items() if not claim.of_writer and claim.rule not in but_by)
        return min(times, default=None)

    def is_still(self, end_ms: float) -> bool:
        return self.queued and end_ms - self.moved_ms >= STILL_MS
