"""The control that stops on one side: the server neither reads nor writes, so the client alone is stuck. No circle."""

from lab.spec import Answer, Load, Outcome, Scenario

SCENARIO = Scenario(
    name="one-sided-stall",
    summary="a server that neither reads nor writes: one window closes for good, and only the client waits",
    server="silent",
    client="write_only",
    port=1060,
    load=Load(
        payload=1 << 30,
        send_size=4096,
        recv_size=4096,
        server_block=4096,
        answer=Answer.NOTHING,
    ),
    expected=Outcome.ONE_SIDED_STALL,
)
