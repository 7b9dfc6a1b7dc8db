"""A message is a fact only if it can be one: each number has a range, each address is one, each text is safe."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.evidence import Connected
from lab.spec import Role
from lab.testbed.messages import Exited, Listening, NotAMessageError, Refused, parse
from tests.testbed import lies

CONNECTED = {"event": "connected", "local": ["127.0.0.1", 5], "remote": ["::1", 6], "rcvbuf": 1, "sndbuf": 2}
ENDED = {"event": "ended", "sent": 1, "received": 2, "error": None, "corrupt": False}


def said(message: object) -> bytes:
    return json.dumps(message).encode()


def test_a_message_is_what_it_says() -> None:
    assert parse(said({"event": "listening", "port": 1}), Role.SERVER) == Listening(1)
    assert parse(said(CONNECTED), Role.CLIENT) == Connected(Role.CLIENT, "127.0.0.1:5", "[::1]:6", 1, 2, None)
    assert parse(said({"event": "refused", "error": "no"}), Role.CLIENT) == Refused("no")
    assert parse(said({"event": "exited", "signal": 9}), Role.CLIENT) == Exited("was killed by SIGKILL in mid-run")
    assert parse(said({"event": "sings"}), Role.CLIENT) is None


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        (CONNECTED, {"rcvbuf": 1.0}),
        (CONNECTED, {"rcvbuf": True}),
        (CONNECTED, {"rcvbuf": float("inf")}),
        (CONNECTED, {"sndbuf": 1 << 53 | 1}),
        (CONNECTED, {"resident": -1}),
        (CONNECTED, {"local": ["127.0.0.1", 65536]}),
        (CONNECTED, {"local": ["127.0.0.1", 0]}),
        (CONNECTED, {"local": ["localhost", 1]}),
        (CONNECTED, {"local": "127.0.0.1:1"}),
        (CONNECTED, {"remote": ["\0", 1]}),
        (CONNECTED, {"remote": {"0": "::1"}}),
        (ENDED, {"sent": 1 << 41}),
        (ENDED, {"sent": "1"}),
        (ENDED, {"error": 7}),
        (ENDED, {"corrupt": None}),
        ({"event": "listening"}, {"port": 0}),
        ({"event": "exited"}, {"signal": 65}),
        ({"event": "exited"}, {"status": 256}),
    ],
)
def test_what_cannot_be_is_no_message(message: dict[str, object], changes: dict[str, object]) -> None:
    with pytest.raises(NotAMessageError):
        parse(said(message | changes), Role.SERVER)


def test_an_error_is_cut_and_can_be_encoded() -> None:
    told = parse(b'{"event": "refused", "error": "\\ud800' + b"x" * 5000 + b'"}', Role.CLIENT)
    assert isinstance(told, Refused)
    assert told.error.startswith("\\ud800x")
    assert len(told.error) < 600
    told.error.encode()


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(Role))
def test_a_lie_is_refused_or_judged(dice: random.Random, role: Role) -> None:
    if (believed := lies.hear(dice, role, lies.conversation(dice, role))) is not None:
        lies.check(believed, None)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(Role), st.randoms(use_true_random=False))
def test_any_bytes_are_refused_or_waited_for(data: bytes, role: Role, dice: random.Random) -> None:
    lies.hear(dice, role, data)


def test_what_was_believed_is_kept_and_shown(tmp_path: Path) -> None:
    dice, kept = random.Random(7), 0
    while kept < 6:
        if (believed := lies.hear(dice, Role.CLIENT, lies.conversation(dice, Role.CLIENT))) is not None:
            lies.check(believed, tmp_path)
            kept += 1
