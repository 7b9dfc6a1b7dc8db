"""The control that ends: an echo whose client reads while it writes. Windows close thousands of times; it completes."""

from lab.spec import Answer, Load, Outcome, Scenario

SCENARIO = Scenario(
    name="healthy",
    summary="an echo of 64 MiB whose client reads while it writes: windows close all the time, and it completes",
    server="echo",
    client="write_while_reading",
    port=51423,
    load=Load(
        payload=64 << 20,
        send_size=4096,
        recv_size=4096,
        server_block=4096,
        answer=Answer.ECHO,
    ),
    expected=Outcome.COMPLETED,
)
