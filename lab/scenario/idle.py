"""The control that rests: the server waits for a request that its client does not make. Nobody waits in a circle."""

from lab.spec import Answer, Load, Outcome, Scenario

SCENARIO = Scenario(
    name="idle",
    summary="a client that connects and then neither writes nor reads: the server waits, and nothing is wrong",
    server="upper",
    client="idle",
    port=1060,
    load=Load(
        payload=0,
        send_size=16,
        recv_size=42,
        server_block=1024,
        answer=Answer.UPPER,
    ),
    expected=Outcome.IDLE,
)
