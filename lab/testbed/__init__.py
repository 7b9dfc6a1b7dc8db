"""Where a spec is played: the only room that starts, stops or names containers, namespaces and programs.

A testbed is one module with a constant TESTBED, found by `catalogue`. It raises a site (two hosts, each with an
endpoint that waits at the barrier) and takes it down again whatever happens.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from lab.kernel.netns import Namespace
from lab.spec import Pair, Spec
from lab.testbed.barrier import Program


@dataclass(frozen=True, slots=True)
class Site:
    """Two hosts, ready: their namespaces, and their programs held at the barrier."""

    namespaces: Pair[Namespace]
    programs: Pair[Program]
    addresses: Pair[str]
    interface: str
    """Where the client's frames pass, in the client's namespace."""
    private_sysctls: bool = True
    """Whether each host has sysctls of its own that may be written."""
    standing: str = ""
    """How to look at the pair while it stands, in words."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What the manifest should say of this place."""


@dataclass(frozen=True, slots=True)
class Testbed:
    name: str
    summary: str
    site: Callable[[Spec], AbstractContextManager[Site]]


def catalogue() -> dict[str, Testbed]:
    """Every testbed by its name."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    found = [module.TESTBED for module in modules if hasattr(module, "TESTBED")]
    return {testbed.name: testbed for testbed in sorted(found, key=lambda each: each.name)}
