"""The published freeze: a server that answers in capitals, and a client that reads no answer before all is sent.

1 GiB is more than any four buffers hold: tcp_rmem and tcp_wmem end at some tens of MiB on the machines that we know.
"""

from lab.spec import Answer, Load, Outcome, Scenario

SCENARIO = Scenario(
    name="upper",
    summary="a server answers 1024-byte blocks in capitals; its client sends 1 GiB in 16-byte messages, then reads",
    server="upper",
    client="write_then_read",
    port=1060,
    load=Load(
        payload=1 << 30,
        send_size=16,
        recv_size=42,
        server_block=1024,
        answer=Answer.UPPER,
        whole_messages=True,
    ),
    expected=Outcome.DEADLOCK,
    freezes=True,
)
