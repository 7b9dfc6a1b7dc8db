"""The catalogue of plays: every module here with a constant SCENARIO is one; its file name with dashes is its name."""

import importlib
import pkgutil

from lab.errors import unknown
from lab.spec import Scenario

DEFAULT = "upper"


def catalogue() -> dict[str, Scenario]:
    """By name: the default first, the others in order of the alphabet."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    scenarios: list[Scenario] = [module.SCENARIO for module in modules]
    scenarios.sort(key=lambda scenario: (scenario.name != DEFAULT, scenario.name))
    return {scenario.name: scenario for scenario in scenarios}


def find(name: str) -> Scenario:
    known = catalogue()
    if name not in known:
        raise unknown("scenario", name, known)
    return known[name]
