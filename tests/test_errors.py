"""Every kind of error says whose fault it is by its exit code, and every code is one of the documented."""

from lab import errors


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
