"""What cures the freeze, moves it, ends it with an error or only hides it: one module a remedy, with a constant REMEDY.

A remedy is a pure function: it takes a scenario that freezes and returns the scenario with the remedy in it. It names
the program in `lab.endpoint` that a learner would copy. `trial` finds the class of a remedy from its runs.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from lab.errors import SpecError, unknown
from lab.spec import Outcome, Pair, Role, Scenario, Spec

PAYLOAD = 16 << 20
"""The maximum payload of a cured scenario unless the user asks for more: one round trip per message is slow."""


class Effect(StrEnum):
    """What becomes of the freeze."""

    CURES = "cures"
    """Any payload goes through."""
    MOVES = "moves"
    """A payload that would freeze goes through, but a larger one freezes."""
    ABORTS = "aborts"
    """An error comes instead of the freeze: the data do not arrive."""
    HIDES = "hides"
    """It is as frozen as before, but looks different."""


@dataclass(frozen=True, slots=True)
class Remedy:
    name: str
    summary: str
    changes: str
    """What the programs had to change, in a few words."""
    expected: Effect
    """The class that the runs must show; `lab.remedy.trial` finds it."""
    apply: Callable[[Scenario], Scenario]

    def on(self, scenario: Scenario) -> Scenario:
        """The scenario with the remedy in it. Raises SpecError if there is nothing to cure."""
        if not scenario.freezes:
            raise SpecError(f"remedy {self.name}: scenario '{scenario.name}' does not freeze: upper and echo do")
        return self.apply(scenario)

    def to(self, spec: Spec) -> Spec:
        """The spec with the remedy in it. A remedy that changes buffers starts from those that each side asked for."""
        sides = [self.on(_with_buffers_of(spec, role)) for role in Role]
        if spec.testbed == "loopback" and any(side.buffers != spec.buffers.client for side in sides):
            raise SpecError(
                f"remedy {self.name}: the sysctls of loopback are the host's and are not touched; give sizes to start "
                "from, for example --so-rcvbuf 48KiB --so-sndbuf 48KiB, or use --testbed netns"
            )
        scenario = replace(sides[0], buffers=spec.scenario.buffers, loopback_options=spec.scenario.loopback_options)
        return replace(
            spec,
            scenario=scenario,
            remedy=self.name,
            buffers=Pair(*(side.buffers for side in sides)),
            options=Pair(*(side.loopback_options for side in sides)),
        )


def _with_buffers_of(spec: Spec, role: Role) -> Scenario:
    return replace(spec.scenario, buffers=spec.buffers[role], loopback_options=spec.options[role])


def cured(scenario: Scenario, *, client: str | None = None, server: str | None = None) -> Scenario:
    """The scenario with another program, so that it completes."""
    return replace(
        scenario,
        client=client or scenario.client,
        server=server or scenario.server,
        expected=Outcome.COMPLETED,
        freezes=False,
    )


def catalogue() -> dict[str, Remedy]:
    """Every remedy by its name, in alphabetical order."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    found: list[Remedy] = [module.REMEDY for module in modules if hasattr(module, "REMEDY")]
    return {remedy.name: remedy for remedy in sorted(found, key=lambda each: each.name)}


def find(name: str) -> Remedy:
    known = catalogue()
    if name not in known:
        raise unknown("remedy", name, known)
    return known[name]
