"""Every kind of error says whose fault it is by its exit code, and every code is one of the documented."""

from lab import errors
from lab.errors import ExitCode


def test_the_exit_codes_are_those_of_the_contract() -> None:
    codes = {kind.__name__: kind.exit_code for kind in errors.LabError.__subclasses__()}
    assert codes == {
        "SpecError": 2,
        "BadInputError": 2,
        "EnvironmentLacksError": 4,
        "TestbedError": 4,
        "StoreError": 4,
    }
    assert errors.LabError.exit_code == 5, "what is of no kind is our own fault"


def test_the_codes_are_those_that_scripts_rely_on() -> None:
    assert [int(each) for each in ExitCode] == [0, 1, 2, 3, 4, 5, 130]


def test_a_name_that_is_nearly_right_is_suggested() -> None:
    known = ("upper", "slow-reader")
    assert str(errors.unknown("scenario", "UPER", known)) == "unknown scenario 'UPER': did you mean 'upper'?"
    assert "did you mean 'slow-reader'?" in str(errors.unknown("scenario", "slow_reader", known))
    assert "there are upper, slow-reader" in str(errors.unknown("scenario", "x" * 200, known))
