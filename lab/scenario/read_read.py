"""The other deadlock: each side waits for the first byte of the other. Every buffer is empty and every window open."""

from lab.spec import Answer, Load, Outcome, Scenario

SCENARIO = Scenario(
    name="read-read",
    summary="both programs wait for the other's first byte: a deadlock with empty buffers and open windows",
    server="upper",
    client="read_first",
    port=1060,
    load=Load(
        payload=1024,
        send_size=16,
        recv_size=42,
        server_block=1024,
        answer=Answer.UPPER,
    ),
    expected=Outcome.READ_READ,
)
