"""Values of flags: for one side or both, refused with an example, and text again that the flag takes."""

import click
import pytest

from lab.cli import values
from lab.cli.values import Address, Alarm, Parsed, Setting, Sided
from lab.spec import Grade, Outcome, Role, Triple, Until


def convert(kind: click.ParamType, text: str) -> object:  # type: ignore[type-arg]
    return kind.convert(text, None, None)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (values.SIZE, "64k", 65536),
        (values.DURATION, "3ms", 0.003),
        (values.ALARM, "blackhole", Alarm("blackhole")),
        (values.ADDRESS, "9750", Address("127.0.0.1", 9750)),
        (values.ADDRESS, "0.0.0.0:0", Address("0.0.0.0", 0)),
        (values.ADDRESS, "[::1]:9750", Address("::1", 9750)),
        (values.ALARM, "deadlock/proven*", Alarm("deadlock", "proven*")),
        (values.UNTIL, "proof", Until.PROOF),
        (values.UNTIL, "2s", 2.0),
        (values.SIDED_TRIPLE, "1 2 3", Sided(Triple(1, 2, 3))),
        (values.SIDED_TRIPLE, "client=1 2 3", Sided(Triple(1, 2, 3), Role.CLIENT)),
        (values.SIDED_SIZE, "server= 1k", Sided(1024, Role.SERVER)),
        (values.SIDED_SWITCH, "client=0", Sided(0, Role.CLIENT)),
        (values.SIDED_SETTING, "server=net.ipv4.tcp_rmem = 1  2 3", Sided(Setting("tcp_rmem", "1 2 3"), Role.SERVER)),
        (values.SIDED_SETTING, "tcp_sack=0", Sided(Setting("tcp_sack", "0"))),
        (values.SIDED_TEXT, "client=reno", Sided("reno", Role.CLIENT)),
        (values.HOST_SETTING, "net.core.rmem_max=128KiB", Setting("rmem_max", "131072")),
    ],
)
def test_a_text_is_its_value_and_the_values_text_is_the_value_again(kind: Parsed, text: str, value: object) -> None:
    assert convert(kind, text) == value
    assert convert(kind, str(value)) == value
    assert kind.convert(value, None, None) == value, "what is a value already is left alone"


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (values.SIZE, "lots", "for example 4096, 64k or 10MiB"),
        (values.DURATION, "soon", "for example 3ms"),
        (values.UNTIL, "tomorrow", "needs proof, probes, or seconds"),
        (values.SIDED_TRIPLE, "server=3 2 1", "three ascending integers"),
        (values.SIDED_SWITCH, "yes", "needs 1 or 0"),
        (values.SIDED_SETTING, "tcp_sack=", "KEY=VALUE"),
        (values.HOST_SETTING, "somaxconn=1", "of net.core there are"),
        (values.SCENARIO, "uper", "did you mean 'upper'"),
        (values.REMEDY, "thread", "did you mean 'threads'"),
        (values.TESTBED, "bogus", "there are compose, loopback, netns"),
    ],
)
def test_what_is_no_value_is_refused_with_an_example(kind: click.ParamType, text: str, says: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(click.BadParameter, match=says):
        convert(kind, text)


def test_a_value_is_for_one_side_or_for_both() -> None:
    assert [Sided(1).is_for(role) for role in Role] == [True, True]
    assert [Sided(1, Role.SERVER).is_for(role) for role in Role] == [False, True]


def test_a_repeated_value_is_split_at_semicolons_in_a_variable() -> None:
    for kind in (values.Repeated(), values.RepeatedNumber(1, 9), values.SIDED_TRIPLE, values.HOST_SETTING):
        assert kind.split_envvar_value("1;2 3") == ["1", "2 3"]


def test_an_alarm_is_for_an_outcome_and_for_the_grades_of_a_deadlock() -> None:
    proofs = Alarm("deadlock", "proven*")
    grades = [grade for grade in Grade if proofs.is_for(Outcome.DEADLOCK, grade)]
    assert grades == [Grade.PROVEN, Grade.PROVEN_CLOSED_WORLD, Grade.PROVEN_UNTIL]
    assert Alarm("deadlock").is_for(Outcome.DEADLOCK, Grade.CONSISTENT)
    assert Alarm("blackhole").is_for(Outcome.BLACKHOLE, None)
    assert not Alarm("blackhole").is_for(Outcome.IDLE, None)


@pytest.mark.parametrize("text", ["frozen", "idle/proven", "deadlock/sure", "deadlock/"])
def test_an_alarm_for_what_there_is_not_is_refused(text: str) -> None:
    with pytest.raises(click.UsageError, match=r"needs an outcome|no grade is"):
        convert(values.ALARM, text)
