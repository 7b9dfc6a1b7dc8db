"""The account on live loopback sockets in every state that a FIN leads to, then on drawn ones, then sabotaged."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, field, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.evidence import Evidence, Progress, Snapshot, SocketSample, WireFacts
from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.proof.account import account, imbalances, last_with_both
from lab.report.reasons import all_words, words
from lab.spec import Answer, Load, Outcome, Pair, Role, Scenario, Spec
from lab.verdict import Account
from tests.waiting import LIMIT_S, at_rest

STILL_S = 0.5
"""Squeezed buffers were seen to move again after 0.383 s of stillness."""


@dataclass
class Programs:
    """Both ends of one loopback connection, with what each program counts."""

    client: socket.socket
    server: socket.socket
    sent: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(Role, 0))
    received: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(Role, 0))

    def write(self, role: Role, size: int) -> None:
        self[role].sendall(bytes(size))
        self.sent[role] += size

    def write_until_full(self, role: Role) -> None:
        """Until the kernel takes nothing for a while: the socket's timeout."""
        self[role].settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while True:
                self.sent[role] += self[role].send(bytes(512))
        self[role].settimeout(LIMIT_S)

    def read(self, role: Role, size: int) -> None:
        got = len(self[role].recv(size, socket.MSG_WAITALL))
        assert got == size
        self.received[role] += got

    def __getitem__(self, role: Role) -> socket.socket:
        return self.client if role is Role.CLIENT else self.server


@contextlib.contextmanager
def connected(buffer: int, host: str = "127.0.0.1") -> Iterator[Programs]:
    """SO_RCVBUF and SO_SNDBUF of `buffer` on both sides."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener, socket.socket(family) as client:
        for each in (listener, client):
            each.settimeout(LIMIT_S)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        listener.bind((host, 0))
        listener.listen()
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        with server:
            server.settimeout(LIMIT_S)
            yield Programs(client, server)


@contextlib.contextmanager
def frozen(send_size: int, block: int, answer: Callable[[bytes], bytes], buffer: int) -> Iterator[Programs]:
    """A client that only writes and a server that answers each block before it reads the next, both in a thread."""

    def write() -> None:
        with contextlib.suppress(OSError):
            while True:
                programs.write(Role.CLIENT, send_size)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while data := programs.server.recv(block):
                programs.received[Role.SERVER] += len(data)
                programs.server.sendall(answer(data))
                programs.sent[Role.SERVER] += len(data)

    with connected(buffer) as programs:
        programs.client.settimeout(None)
        programs.server.settimeout(None)
        threads = [threading.Thread(target=target) for target in (write, serve)]
        for thread in threads:
            thread.start()
        try:
            yield programs
        finally:
            for role in Role:
                with contextlib.suppress(OSError):
                    programs[role].shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(LIMIT_S)
                assert not thread.is_alive()


def address(name: tuple[str, int]) -> str:
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def snapshot_of(programs: Programs, diag: SocketDiag) -> Snapshot:
    names = Pair(address(programs.client.getsockname()[:2]), address(programs.client.getpeername()[:2]))
    samples = Pair(*(diag.sample(role, names[role], names[role.peer]) for role in Role))
    counters = (Progress(0, role, programs.sent[role], programs.received[role], 0) for role in Role)
    progress: Pair[Progress | None] = Pair(*counters)
    return Snapshot(0, (), samples, (), progress)


def settled(programs: Programs, still_s: float) -> Snapshot:
    """The snapshot of a pair in which no queue, state or counter has changed for `still_s`."""

    def seen(shot: Snapshot) -> list[tuple[object, ...]]:
        sockets = [(s.state, s.rqueue, s.wqueue, s.bytes_acked, s.bytes_received) for s in shot.sockets if s]
        return [*sockets, *(astuple(progress) for progress in shot.progress if progress)]

    diag = SocketDiag(Namespace.here())
    try:
        return at_rest(lambda: snapshot_of(programs, diag), still_s, key=seen)
    finally:
        diag.close()


def evidence_of(*snapshots: Snapshot, answer: Answer = Answer.ECHO) -> Evidence:
    load = Load(1 << 30, 1024, 1024, 4096, answer)
    spec = Spec(Scenario("echo", "", "echo", "write_then_read", 51423, load, Outcome.DEADLOCK), "loopback")
    return Evidence(
        spec=spec,
        started_ns=0,
        seen_ns=0,
        settings=Pair(None, None),
        core={},
        connected=Pair(None, None),
        ended=Pair(None, None),
        snapshots=snapshots,
        wire=WireFacts(),
        capture=None,
        logs=Pair("", ""),
    )


def states(snapshot: Snapshot) -> tuple[str | None, str | None]:
    client, server = (sample.state if sample else None for sample in snapshot.sockets)
    return client, server


def test_a_frozen_echo_is_accounted_for_to_the_byte() -> None:
    with frozen(1024, 4096, bytes, 16384) as programs:
        shot = settled(programs, STILL_S)
        found = account(evidence_of(shot))
        assert imbalances(found, shot) == ()
        assert all(term is not None for term in astuple(found))
        assert found.client_accepted is not None
        assert found.client_accepted // 1024 * 1024 == programs.sent[Role.CLIENT]
        assert found.server_processed == programs.received[Role.SERVER]
        assert found.in_hand is not None
        assert 0 < found.in_hand <= 4096
        assert found.client_processed == 0
        assert states(shot) == ("ESTABLISHED", "ESTABLISHED")


def test_a_frozen_upper_is_accounted_for_but_for_refused_acknowledgments() -> None:
    with frozen(16, 1024, bytes.upper, 65536) as programs:
        shot = settled(programs, STILL_S)
        found = account(evidence_of(shot))
        assert all("counted twice" in text for text in all_words(imbalances(found, shot))), imbalances(found, shot)
        assert found.client_accepted is not None
        assert found.client_accepted // 16 * 16 == programs.sent[Role.CLIENT]
        assert found.in_hand is not None
        assert 0 < found.in_hand <= 1024


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_unread_fin_is_no_payload(host: str) -> None:
    with connected(16384, host) as programs:
        programs.write(Role.CLIENT, 3000)
        programs.read(Role.SERVER, 1000)
        programs.write(Role.SERVER, 600)
        programs.read(Role.CLIENT, 100)
        programs.client.shutdown(socket.SHUT_WR)
        shot = settled(programs, 0.1)
        assert states(shot) == ("FIN-WAIT-2", "CLOSE-WAIT")
        assert account(evidence_of(shot)) == Account(3000, 0, 2000, 1000, 400, 0, 500, 100)
        assert imbalances(account(evidence_of(shot)), shot) == ()


def test_a_fin_that_was_read_is_no_payload_either() -> None:
    with connected(16384) as programs:
        programs.write(Role.CLIENT, 3000)
        programs.client.shutdown(socket.SHUT_WR)
        programs.read(Role.SERVER, 3000)
        assert programs.server.recv(1) == b""
        shot = settled(programs, 0.1)
        assert states(shot) == ("FIN-WAIT-2", "CLOSE-WAIT")
        assert account(evidence_of(shot)) == Account(3000, 0, 0, 3000, 3000, 0, 0, 0)


def test_a_fin_behind_a_closed_window_is_no_payload() -> None:
    with connected(4096) as programs:
        programs.write_until_full(Role.CLIENT)
        programs.client.shutdown(socket.SHUT_WR)
        shot = settled(programs, STILL_S)
        found = account(evidence_of(shot))
        assert states(shot) == ("FIN-WAIT-1", "ESTABLISHED")
        assert found.client_accepted == programs.sent[Role.CLIENT]
        assert imbalances(found, shot) == ()


def test_a_server_that_closed_behind_a_closed_window_is_accounted_for() -> None:
    with connected(4096) as programs:
        for _ in range(256):
            programs.write(Role.CLIENT, 1024)
            programs.read(Role.SERVER, 1024)
        programs.client.shutdown(socket.SHUT_WR)
        assert programs.server.recv(1) == b""
        programs.write_until_full(Role.SERVER)
        programs.server.shutdown(socket.SHUT_WR)
        shot = settled(programs, STILL_S)
        found = account(evidence_of(shot))
        assert states(shot) == ("FIN-WAIT-2", "LAST-ACK")
        assert found.client_accepted == found.server_processed == 256 * 1024
        assert found.in_hand == 256 * 1024 - programs.sent[Role.SERVER]
        assert imbalances(found, shot) == ()


def test_two_fins_that_crossed_are_accounted_for() -> None:
    with connected(4096) as programs:
        programs.write(Role.CLIENT, 2000)
        programs.read(Role.SERVER, 2000)
        programs.write_until_full(Role.CLIENT)
        programs.client.shutdown(socket.SHUT_WR)
        programs.write(Role.SERVER, 500)
        programs.server.shutdown(socket.SHUT_WR)
        shot = settled(programs, STILL_S)
        found = account(evidence_of(shot))
        assert states(shot) == ("CLOSING", "FIN-WAIT-2")
        assert found.client_accepted == programs.sent[Role.CLIENT]
        assert (found.server_processed, found.in_hand) == (2000, 1500)
        assert (found.server_send_queue, found.client_receive_queue, found.client_processed) == (0, 500, 0)
        assert imbalances(found, shot) == ()


def sample(role: Role, **known: object) -> SocketSample:
    """A record of zeros but for what is `known`."""
    zeros = {each.name: 0 for each in fields(SocketSample)}
    texts = {"role": role, "local": "", "remote": "", "state": "ESTABLISHED", "timer": "persist"}
    return SocketSample(**{**zeros, **texts, **known})  # type: ignore[arg-type]


def draw(figures: Account, client_fin: str, server_fin: str) -> Snapshot:
    """What the kernel and the programs would show of these figures, by the rules of sequence numbers."""
    accepted, queued, unread, processed, in_hand, answers, waiting, read = (term or 0 for term in astuple(figures))
    sent, acked, received = client_fin != "open", client_fin == "acknowledged", client_fin == "acknowledged"
    answered, confirmed = server_fin != "open", server_fin == "acknowledged"
    client = sample(
        Role.CLIENT,
        state=STATES[client_fin, confirmed],
        wqueue=queued + (sent and not acked),
        bytes_acked=accepted - queued + 1 + acked,
        bytes_received=waiting + read + confirmed,
        rqueue=waiting + (confirmed and waiting > 0),
    )
    server = sample(
        Role.SERVER,
        state=STATES[server_fin, received],
        wqueue=answers + (answered and not confirmed),
        bytes_acked=processed - in_hand - answers + confirmed,
        bytes_received=processed + unread + received,
        rqueue=unread + (received and unread > 0),
    )
    programs = (Progress(0, Role.CLIENT, accepted, read, 0), Progress(0, Role.SERVER, 0, processed, 0))
    progress: Pair[Progress | None] = Pair(*programs)
    return Snapshot(1, (), Pair(client, server), (), progress)


STATES = {
    ("open", False): "ESTABLISHED",
    ("open", True): "CLOSE-WAIT",
    ("sent", False): "FIN-WAIT-1",
    ("sent", True): "CLOSING",
    ("acknowledged", False): "FIN-WAIT-2",
    ("acknowledged", True): "TIME-WAIT",
}
"""The state of an end, by its own FIN and by whether it has got the other's."""

FROZEN = Account(1003, 400, 300, 303, 3, 100, 150, 50)
QUEUES = st.lists(st.integers(0, 1 << 33), min_size=6, max_size=6)
FINS = st.sampled_from([("open", "open"), ("sent", "open"), ("acknowledged", "open"), ("sent", "acknowledged")])


@given(QUEUES, FINS, st.booleans())
def test_any_figures_are_found_again_behind_any_fin(queues: list[int], fins: tuple[str, str], mirrored: bool) -> None:
    queued, unread, in_hand, answers, waiting, read = queues
    processed = in_hand + answers + waiting + read
    figures = Account(processed + unread + queued, queued, unread, processed, in_hand, answers, waiting, read)
    shot = draw(figures, *(reversed(fins) if mirrored else fins))
    assert account(evidence_of(shot)) == figures
    assert imbalances(figures, shot) == ()


@pytest.mark.parametrize(
    ("role", "fact", "total"),
    [
        (Role.CLIENT, "bytes_acked", "client_accepted 1004 is not"),
        (Role.SERVER, "rqueue", "client_accepted 1003 is not"),
        (Role.SERVER, "bytes_acked", "server_processed 303 is not"),
        (Role.CLIENT, "rqueue", "server_processed 303 is not"),
    ],
)
def test_one_altered_counter_of_a_socket_is_noticed(role: Role, fact: str, total: str) -> None:
    shot = draw(FROZEN, "open", "open")
    victim = shot.sockets[role]
    assert victim is not None
    forged = replace(victim, **{fact: getattr(victim, fact) + 1})
    pair = replace(shot.sockets, **{role.value: forged})
    texts = all_words(imbalances(account(evidence_of(replace(shot, sockets=pair))), replace(shot, sockets=pair)))
    assert len(texts) == 1
    assert texts[0].startswith(total)
    assert "counted twice" not in texts[0]


@pytest.mark.parametrize(("role", "total"), [(Role.CLIENT, "server_processed"), (Role.SERVER, "client_accepted")])
def test_one_altered_counter_of_a_program_is_noticed(role: Role, total: str) -> None:
    shot = draw(FROZEN, "open", "open")
    counter = shot.progress[role]
    assert counter is not None
    pair = replace(shot.progress, **{role.value: replace(counter, received=counter.received - 1)})
    texts = all_words(imbalances(account(evidence_of(replace(shot, progress=pair))), shot))
    assert [text.split()[0] for text in texts] == [total]


def test_an_imbalance_is_told_with_its_figures() -> None:
    assert all_words(imbalances(replace(FROZEN, client_accepted=1000))) == (
        "client_accepted 1000 is not server_processed 303 + server_receive_queue 300 + client_send_queue 400 = 1003",
    )


def test_a_server_cannot_answer_what_it_has_not_read() -> None:
    shot = draw(Account(650, 400, 250, 0, -50, 0, 0, 50), "open", "open")
    assert all_words(imbalances(account(evidence_of(shot)))) == (
        "in_hand -50: the server has answered more than it has read",
    )


@pytest.mark.parametrize("sender", list(Role))
def test_bytes_received_but_refused_acknowledgment_are_named_as_counted_twice(sender: Role) -> None:
    shot = draw(FROZEN, "open", "open")
    starved = shot.sockets[sender]
    assert starved is not None
    starved = replace(starved, bytes_acked=starved.bytes_acked - 96, wqueue=starved.wqueue + 96)
    shot = replace(shot, sockets=replace(shot.sockets, **{sender.value: starved}))
    texts = all_words(imbalances(account(evidence_of(shot)), shot))
    assert len(texts) == 1
    assert f"96 bytes are counted twice, the {sender.peer} has received them and the {sender} keeps them" in texts[0]
    assert "counted twice" not in words(imbalances(account(evidence_of(shot)))[0])
    assert imbalances(account(evidence_of(shot)), shot, starved=True) == ()
    assert len(imbalances(account(evidence_of(shot)), starved=True)) == 1, "without the sockets nothing explains it"


def test_a_server_that_answers_nothing_holds_nothing_in_hand() -> None:
    shot = draw(Account(1000, 400, 297, 303, 303, 0, 0, 0), "open", "open")
    found = account(evidence_of(shot, answer=Answer.NOTHING))
    assert found == Account(1000, 400, 297, 303, None, 0, 0, 0)
    assert imbalances(found, shot) == ()


def test_what_a_program_did_not_tell_is_not_known() -> None:
    shot = replace(draw(FROZEN, "open", "open"), progress=Pair(None, None))
    found = account(evidence_of(shot))
    assert found == replace(FROZEN, server_processed=None, in_hand=None, client_processed=None)
    assert imbalances(found, shot) == ()


def test_the_last_snapshot_with_counters_for_both_sockets_counts() -> None:
    whole = draw(FROZEN, "open", "open")
    client, server = whole.sockets
    assert client is not None
    gone = replace(whole, sockets=Pair(client, None))
    waiting = replace(whole, sockets=Pair(replace(client, state="TIME-WAIT", timer="timewait"), server))
    orphan = replace(whole, sockets=Pair(replace(client, state="FIN-WAIT-2", timer="timewait"), server))
    earlier = draw(replace(FROZEN, client_accepted=1000), "open", "open")
    evidence = evidence_of(earlier, whole, gone, waiting, orphan)
    assert last_with_both(evidence) is whole
    assert account(evidence) == FROZEN


def test_without_any_sockets_nothing_is_known() -> None:
    found = account(evidence_of())
    assert set(astuple(found)) == {None}
    assert imbalances(found) == ()


def test_the_account_has_the_keys_of_the_contract_in_their_order() -> None:
    assert [each.name for each in fields(Account)] == [
        "client_accepted",
        "client_send_queue",
        "server_receive_queue",
        "server_processed",
        "in_hand",
        "server_send_queue",
        "client_receive_queue",
        "client_processed",
    ]
