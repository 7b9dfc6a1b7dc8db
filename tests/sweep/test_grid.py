"""A grid means its points and no others, and says on which line it is wrong."""

import pickle
import re

import pytest

from lab.errors import SpecError
from lab.spec import Until
from tests.commanded import ROOT
from tests.sweep.swept import SQUEEZED, parsed, points


def test_every_combination_is_played_as_often_as_it_shall() -> None:
    found = points('payload = ["1k", "2k"]\nserver_block = [128, 256, 512]\nrepetitions = 4\n')
    assert len(found) == 24
    loads = [(point.spec.scenario.load.payload, point.spec.scenario.load.server_block) for point in found]
    assert {each: loads.count(each) for each in loads} == {
        (payload, block): 4 for payload in (1024, 2048) for block in (128, 256, 512)
    }
    assert len({point.key for point in found}) == 24


def test_a_key_is_a_flag_of_lab_run() -> None:
    (point,) = points(
        'scenario = "echo"\nremedy = "threads"\nso_rcvbuf = "client=64KiB;server=4096"\nnodelay = true\nip = 6\n'
        'tcp_rmem = "4096 8192 8192"\nmtu = 9000\nsysctl = "tcp_sack=0"\npaced = "3ms"\n'
    )
    spec = point.spec
    assert (spec.scenario.name, spec.remedy, spec.ip, spec.mtu) == ("echo", "threads", 6, 9000)
    assert [options.so_rcvbuf for options in spec.options] == [65536, 4096]
    assert all(options.nodelay for options in spec.options)
    assert [str(buffers.tcp_rmem) for buffers in spec.buffers] == ["4096 8192 8192"] * 2
    assert spec.buffers.client.other == {"tcp_sack": "0"}
    assert spec.scenario.load.paced_s == 0.003


def test_a_point_ends_with_its_proof_unless_it_says_otherwise() -> None:
    assert points(SQUEEZED)[0].spec.until is Until.PROOF
    assert points(SQUEEZED + 'until = "probes"\n')[0].spec.until is Until.PROBES


def test_the_environment_has_no_say_in_a_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_PAYLOAD", "7")
    monkeypatch.setenv("LAB_MTU", "9000")
    (point,) = points('scenario = "upper"\n')
    assert (point.spec.scenario.load.payload, point.spec.mtu) == (1 << 30, None)


def test_a_sample_is_drawn_without_repetition_and_is_the_same_for_the_same_seed() -> None:
    text = "payload = [1, 2, 3, 4, 5, 6, 7, 8, 9]\nrepetitions = 9\nsample = 40\nseed = {}\n"
    keys = {seed: [point.key for point in points(text.format(seed))] for seed in (1, 2)}
    assert keys[1] == [point.key for point in points(text.format(1))]
    assert len(set(keys[1])) == 40
    assert set(keys[1]) != set(keys[2])


def test_the_order_is_shuffled_so_that_an_interrupted_sweep_is_thin_and_not_short() -> None:
    payloads = [point.spec.scenario.load.payload for point in points("payload = [16, 32, 48, 64]\nrepetitions = 50\n")]
    assert set(payloads[:40]) == {16, 32, 48, 64}


def test_a_point_has_the_same_key_in_a_larger_grid_and_on_another_host() -> None:
    small = {point.key for point in points('payload = ["1k", "2k"]\n')}
    large = {point.key for point in points('payload = ["2k", "1k", "3k"]\nrepetitions = 2\nseed = 3\n')}
    assert small < large
    point = points(SQUEEZED)[0]
    assert pickle.loads(pickle.dumps(point)) == point


def test_a_grid_is_known_again_whatever_its_comments_and_the_order_of_its_keys() -> None:
    same = parsed('# a comment\nip = 4\npayload = ["1k", "2k"]\n').identity
    assert parsed('payload = ["1k", "2k"]   # another\nip = [4]\n').identity == same
    assert parsed('payload = ["1k", "2k"]\nip = 6\n').identity != same
    assert parsed('payload = ["1k", "2k"]\nip = 4\nrepetitions = 2\n').identity != same


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("payload = [", r"no TOML: .*line 1.*for example payload ="),
        ("ip = 4\npaylod = 3", r"line 2: paylod: unknown: a key is one of .*payload"),
        ('ip = 4\n\npayload = ["1k", "1x"]', r"line 3: payload: size '1x': .* for example 4096"),
        ("payload = 1\npayload = 2", r"no TOML: .*line 2"),
        ("payload = []", r"line 1: payload: an axis without a value"),
        ("payload = [1, 1]", r"line 1: payload: '1' is there twice; repetitions = 25"),
        ("payload = [{a = 1}]", r"line 1: payload: .* is no text, number or list"),
        ("ip = 5", r"line 1: ip: '5' is not one of '4', '6'"),
        ('mtu = "wide"', r"line 1: mtu: 'wide' is not a valid integer"),
        ('tcp_rmem = "9 8 7"', r"line 1: tcp_rmem: .*three ascending integers"),
        ('scenario = "lower"', r"line 1: scenario: unknown scenario 'lower'"),
        ('remedy = "hope"', r"line 1: remedy: .*threads"),
        ('testbed = "compose"', r"line 1: testbed: unknown"),
        ("repetitions = 0", r"line 1: repetitions: .*for example repetitions = 25"),
        ("sample = true", r"line 1: sample: .*for example sample = 500"),
        ("payload = [1, 2]\nsample = 3", r"line 2: sample: 3 of 2 points"),
        ("repetitions = 9999999", r"9999999 points: at most"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_an_example(text: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        parsed(text)


def test_a_key_in_a_comment_does_not_mislead_the_line() -> None:
    with pytest.raises(SpecError, match=r"^line 3: ip: "):
        parsed("# ip = 4\npayload = 1 # ip = 7\nip = 7\n")


def test_the_pages_grid_means_what_its_picture_shows() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/sweeps.md").read_text(), re.DOTALL)
    assert len(points(text)) == 720
