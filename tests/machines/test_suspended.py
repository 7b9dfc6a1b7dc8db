"""What the places play about stopped processes is true here, too."""

import socket

import pytest

from machines.inside.pair import SENDS_ALL, SENDS_ONCE
from machines.inside.suspended import SIGSTOP, played

pytestmark = pytest.mark.root


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize(("client", "afterwards"), [(SENDS_ONCE, "read-read"), (SENDS_ALL, "deadlock")])
def test_a_stopped_client_is_suspended_and_judged_anew_when_it_goes_on(client: str, afterwards: str) -> None:
    rows = played(SIGSTOP, client, free_port())
    assert [row.outcome for row in rows] == ["deadlock", "suspended", afterwards], rows
    assert all(row.right for row in rows)
