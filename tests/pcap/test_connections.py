"""Every connection of every capture gets the verdict that its sockets bear out, whatever the file looks like."""

import gzip
import io
import sys
from collections import Counter
from pathlib import Path

import pytest
import zstandard

from lab.pcap.bulk import CHUNK
from lab.pcap.connections import every_segment, judge_capture
from lab.report.reasons import all_words
from lab.spec import Grade, Outcome
from lab.wire.judge import PacketJudgement, StallEnd
from tests.captures import recorded
from tests.captures.recorded import FORMATS, LINKS, pcap, pcapng, relinked

ETHERNET = 1
BY_NAME = {recorded.name(path): path for path in recorded.ALL}
FREEZE = "six-freezes"


def judged(path: Path, *, screening: bool = True) -> list[PacketJudgement]:
    judgement = judge_capture(path, screening=screening)
    assert not judgement.errors
    return [*judgement.stalled, *judgement.others]


def told(found: list[PacketJudgement]) -> Counter[tuple[object, ...]]:
    """What must not depend on how the file was written or read."""
    return Counter(
        (each.verdict.client, each.verdict.server, each.verdict.roles, each.verdict.outcome, each.verdict.wire.frames)
        for each in found
    )


def naive(path: Path) -> dict[frozenset[str], bool]:
    """The rule of thumb: a deadlock if the last window of both sides is 0."""
    last: dict[frozenset[str], dict[str, int]] = {}
    for segment in every_segment(path):
        if not segment.bits & 0x06:
            last.setdefault(frozenset((segment.source, segment.destination)), {})[segment.source] = segment.wnd
    return {ends: len(windows) == 2 and not any(windows.values()) for ends, windows in last.items()}


def matrix() -> dict[str, Counter[tuple[bool, bool]]]:
    """By rule: how many connections of each (true, said)."""
    found: dict[str, Counter[tuple[bool, bool]]] = {"lab": Counter(), "naive": Counter()}
    for path in recorded.ALL:
        truth, thumb = recorded.truth(path), naive(path)
        for each in judged(path):
            ends = frozenset((each.verdict.client or "", each.verdict.server or ""))
            true = truth.get(ends, False)
            found["lab"][true, each.verdict.outcome is Outcome.DEADLOCK] += 1
            found["naive"][true, thumb.get(ends, False)] += 1
    return found


def test_no_false_deadlock_and_nearly_all_true_ones() -> None:
    found = matrix()
    lab, thumb = found["lab"], found["naive"]
    assert lab.total() >= 60
    assert lab[False, True] == 0
    assert lab[True, True] >= 0.95 * (lab[True, True] + lab[True, False])
    assert thumb[False, True] > 0, "the look-alikes among the captures fool the naive rule"


@pytest.mark.parametrize("path", recorded.ALL, ids=recorded.name)
def test_both_readings_say_the_same(path: Path) -> None:
    assert told(judged(path)) == told(judged(path, screening=False))


@pytest.mark.parametrize(
    ("name", "outcome", "ended"),
    [
        ("socat-cat", Outcome.DEADLOCK, StallEnd.FROZEN),
        ("nginx-send-timeout", Outcome.DEADLOCK, StallEnd.RESET_BY_SERVER),
        ("killed-client", Outcome.DEADLOCK, StallEnd.RESET_BY_CLIENT),
        ("user-timeout", Outcome.DEADLOCK, StallEnd.TIMED_OUT_CLIENT),
        ("late-reader", Outcome.COMPLETED, StallEnd.WENT_ON),
        ("slow-both-cut", Outcome.SLOW_READER, StallEnd.WENT_ON),
        ("filled-keepalive", Outcome.IDLE, None),
        ("one-sided", Outcome.ONE_SIDED_STALL, StallEnd.FROZEN),
        ("blackhole", Outcome.BLACKHOLE, StallEnd.FROZEN),
        ("one-direction", Outcome.INCONCLUSIVE, StallEnd.FROZEN),
        ("idle", Outcome.IDLE, None),
        ("curl-slow", Outcome.COMPLETED, None),
    ],
)
def test_an_outcome_and_how_it_ended(name: str, outcome: Outcome, ended: StallEnd | None) -> None:
    (found,) = judged(BY_NAME[name])
    assert found.verdict.outcome is outcome
    assert found.ended is ended


def test_a_deadlock_is_no_more_than_consistent_and_says_what_would_settle_it() -> None:
    (found,) = judged(BY_NAME["socat-cat"])
    verdict = found.verdict
    assert verdict.grade is Grade.CONSISTENT
    assert [edge.holder for edge in verdict.cycle] == ["server", "client"]
    assert all("lab watch --port 7777" in text for text in all_words(verdict.missing))
    assert found.since_ns is not None
    assert verdict.age_s is not None
    assert 2 < verdict.age_s < 4
    says = [note.says for note in found.evidence]
    assert any("first zero window of the client" in text for text in says)
    assert any("probe 2 of the server" in text for text in says)


def test_the_legs_of_a_proxy_are_one_chain() -> None:
    found = judged(BY_NAME["haproxy-chain"])
    assert [each.verdict.outcome for each in found] == [Outcome.DEADLOCK] * 2
    assert all(len(each.chain) == 4 for each in found)
    assert not any(each.chain for each in judged(BY_NAME[FREEZE])), "parallel freezes are no chain"


def test_without_a_syn_the_server_is_the_lower_port_and_the_roles_are_guessed() -> None:
    for each in judged(BY_NAME["six-freezes-late"]):
        assert each.verdict.roles == "guessed"
        assert (each.verdict.server or "").endswith(":7777")
        assert each.verdict.outcome is Outcome.DEADLOCK


@pytest.mark.parametrize("name", FORMATS)
def test_the_file_format_changes_nothing(name: str, tmp_path: Path) -> None:
    _, frames = recorded.frames(BY_NAME["mixed"])
    path = tmp_path / "again"
    path.write_bytes(FORMATS[name](frames))
    assert told(judged(path)) == told(judged(BY_NAME["mixed"]))


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("name", ["mixed", "eight-freezes-ipv6"])
def test_the_link_layer_changes_nothing(name: str, link: str, tmp_path: Path) -> None:
    _, frames = recorded.frames(BY_NAME[name])
    number, change = LINKS[link]
    path = tmp_path / "again"
    path.write_bytes(pcap(relinked(frames, change), number))
    assert told(judged(path)) == told(judged(BY_NAME[name]))


def test_two_interfaces_of_two_link_layers(tmp_path: Path) -> None:
    _, frames = recorded.frames(BY_NAME[FREEZE])
    number, change = LINKS["cooked-2"]
    both = [relinked([frame], change)[0] if n % 2 else frame for n, frame in enumerate(frames)]
    path = tmp_path / "again"
    path.write_bytes(pcapng(both, [ETHERNET, number]))
    assert told(judged(path)) == told(judged(BY_NAME[FREEZE]))


@pytest.mark.parametrize("name", [FREEZE, "filled-keepalive", "late-reader", "one-sided", "mixed", "slow-both-cut"])
def test_frames_captured_twice_change_no_outcome(name: str, tmp_path: Path) -> None:
    """As `-i any` has them on a host that forwards: each packet once an interface."""
    _, frames = recorded.frames(BY_NAME[name])
    path = tmp_path / "again"
    path.write_bytes(pcap([(ns + late, wire, data) for ns, wire, data in frames for late in (0, 9_000)], 1))
    once, twice = (
        {each.verdict.client: each.verdict.outcome for each in judged(file)} for file in (BY_NAME[name], path)
    )
    assert twice == once


@pytest.mark.parametrize("snaplen", [54, 60, 70])
def test_a_short_snaplen_is_enough(snaplen: int, tmp_path: Path) -> None:
    _, frames = recorded.frames(BY_NAME[FREEZE])
    path = tmp_path / "again"
    path.write_bytes(pcap([(ns, wire, data[:snaplen]) for ns, wire, data in frames], 1))
    outcomes = Counter(each.verdict.outcome for each in judged(path))
    assert outcomes == {Outcome.DEADLOCK: 6}


@pytest.mark.parametrize("cut", [1, 15, 17, 60])
def test_a_truncated_last_record_is_told_with_its_offset_and_the_rest_is_judged(cut: int, tmp_path: Path) -> None:
    whole = pcap(recorded.frames(BY_NAME[FREEZE])[1], 1)
    last = len(whole) - 16 - len(recorded.frames(BY_NAME[FREEZE])[1][-1][2])
    path = tmp_path / "cut.pcap"
    path.write_bytes(whole[: last + cut])
    judgement = judge_capture(path)
    assert Counter(each.verdict.outcome for each in judgement.stalled) == {Outcome.DEADLOCK: 6}
    (error,) = judgement.errors
    assert f"at byte {last}:" in error


@pytest.mark.parametrize("packed", [gzip.compress, zstandard.compress])
def test_a_truncated_compressed_file_is_judged_as_far_as_it_goes(packed: object, tmp_path: Path) -> None:
    assert callable(packed)
    several = [recorded.frames(BY_NAME[name])[1] for name in (FREEZE, "mixed", "very-lossy-freeze")]
    whole = packed(pcap([frame for frames in several for frame in frames], 1))
    path = tmp_path / "cut.gz"
    path.write_bytes(whole[: len(whole) * 9 // 10])
    judgement = judge_capture(path)
    assert len(judgement.stalled) >= 6
    assert len(judgement.errors) == 1


def test_an_unknown_link_layer_is_told(tmp_path: Path) -> None:
    path = tmp_path / "radio"
    path.write_bytes(pcap(recorded.frames(BY_NAME["idle"])[1], 105))
    judgement = judge_capture(path)
    assert list(judgement.others) == []
    assert "link type 105" in judgement.errors[0]


def test_standard_input_is_a_capture_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Piped:
        buffer = io.BytesIO(recorded.raw(BY_NAME[FREEZE]))

    monkeypatch.setattr(sys, "stdin", Piped)
    assert told(judged(Path("-"))) == told(judged(BY_NAME[FREEZE]))


def test_ports_that_are_used_again_are_two_connections(tmp_path: Path) -> None:
    _, frames = recorded.frames(BY_NAME["idle"])
    _, frozen = recorded.frames(BY_NAME["socat-cat"])
    port = frames[0][2][34:36]
    later = frames[-1][0] + 10**10 - frozen[0][0]
    reported = []
    for ns, wire, data in frozen:
        ours = data[26:30] == frozen[0][2][26:30]
        at = 34 if ours else 36
        reported.append((ns + later, wire, data[:at] + port + data[at + 2 :]))
    path = tmp_path / "again"
    path.write_bytes(pcap(frames + reported, 1))
    assert sorted(each.verdict.outcome for each in judged(path)) == [Outcome.DEADLOCK, Outcome.IDLE]


def test_a_capture_of_many_chunks_is_judged_as_its_parts(tmp_path: Path) -> None:
    """Chunks are cut anywhere: in the middle of records, of connections and of freezes."""
    _, frames = recorded.frames(BY_NAME["mixed"])
    _, bulk = recorded.frames(BY_NAME["curl-bulk-lossy"])
    path = tmp_path / "large.pcap"
    pieces = [pcap(frames[:300], 1)]
    filler = pcap(bulk, 1)[24:]
    pieces += [filler] * (2 * CHUNK // len(filler) + 1)
    pieces.append(pcap(frames[300:], 1)[24:])
    path.write_bytes(b"".join(pieces))
    assert path.stat().st_size > 2 * CHUNK
    assert not told(judged(BY_NAME["mixed"])) - told(judged(path))
