"""Four times the buffers: today's payload goes through, and a larger one freezes. The cliff has only moved."""

from dataclasses import replace

from lab.remedy import Effect, Remedy
from lab.spec import MAX_BUFFER, Buffers, Scenario, SocketOptions, Triple

TIMES = 4
UNKNOWN = Triple(4096, 16 << 20, 16 << 20)
"""Used where no size was asked for. Default and maximum are the same, so that nothing waits for autotuning."""


def _bigger(triple: Triple | None) -> Triple:
    if triple is None:
        return UNKNOWN
    size = min(MAX_BUFFER, TIMES * triple.most)
    return Triple(triple.least, size, size)


def _apply(scenario: Scenario) -> Scenario:
    buffers, options = scenario.buffers, scenario.loopback_options
    return replace(scenario, buffers=_of(buffers, options), loopback_options=_asked(options))


def _of(buffers: Buffers, options: SocketOptions) -> Buffers:
    """The buffers, four times as large. A buffer that a socket option asks for follows no sysctl."""
    return replace(
        buffers,
        tcp_rmem=buffers.tcp_rmem if options.so_rcvbuf else _bigger(buffers.tcp_rmem),
        tcp_wmem=buffers.tcp_wmem if options.so_sndbuf else _bigger(buffers.tcp_wmem),
    )


def _asked(options: SocketOptions) -> SocketOptions:
    return replace(
        options,
        so_rcvbuf=min(MAX_BUFFER, TIMES * options.so_rcvbuf) if options.so_rcvbuf else None,
        so_sndbuf=min(MAX_BUFFER, TIMES * options.so_sndbuf) if options.so_sndbuf else None,
    )


REMEDY = Remedy(
    name="bigger-buffers",
    summary="four times the buffers in both kernels: a larger payload freezes as before",
    changes="nothing; the hosts' tcp_rmem and tcp_wmem",
    expected=Effect.MOVES,
    apply=_apply,
)
