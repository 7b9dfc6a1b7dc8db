"""Where a spec is played: the only room that starts, stops or names containers, namespaces and programs.

A testbed is one module with a constant TESTBED, found by `catalogue`. It raises a site (two hosts, each with an
endpoint that waits at the barrier) and takes it down again whatever happens.

* `compose`, `netns`, `loopback`: the testbeds.
* `barrier`: holds a program before socket() until it gets its job. `messages`: what a program says, checked.
* `process`: programs as processes of this machine. `services`: services of compose.yaml, for a run.
* `engine`: the Docker engine. `containers`: containers of other people, only read.
* `leftovers`: what killed labs left behind.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace

from lab.kernel.place import host_settings
from lab.kernel.place.helper_process import HelperProcess
from lab.kernel.place.host_settings import Say
from lab.kernel.place.netns import Namespace
from lab.spec import Pair, Spec
from lab.testbed.barrier import Program


def nothing() -> None:
    """There is nothing to do meanwhile."""


@dataclass(frozen=True, slots=True)
class Startup:
    """What a caller in a hurry gives to a testbed."""

    meanwhile: Callable[[], object] = nothing
    """What it has to do anyway, called once, while it would only wait for the hosts to come up."""
    aside: HelperProcess | None = None
    """One that was begun early: it stays the caller's."""


ALONE = Startup()


@dataclass(frozen=True, slots=True)
class Site:
    """Two hosts, ready: their namespaces, and their programs held at the barrier."""

    namespaces: Pair[Namespace]
    programs: Pair[Program]
    addresses: Pair[str]
    interfaces: Pair[str]
    """Where the frames of each pass, in its namespace."""
    private_sysctls: bool = True
    """Whether each host has sysctls of its own that may be written."""
    standing: str = ""
    """How to look at the pair while it stands, in words."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What the manifest should say of this place."""
    aside: HelperProcess | None = None
    """Makes calls for the experiment, if it is there."""
    core_before: Mapping[str, str] = field(default_factory=dict)
    """`net.core.*` of the host before the spec's `host_sysctls` were written; empty if it has none."""


@dataclass(frozen=True, slots=True)
class Testbed:
    name: str
    summary: str
    hosts: Callable[[Spec, Startup], AbstractContextManager[Site]]
    """The two hosts alone, with the settings that are their own."""

    @contextmanager
    def site(self, spec: Spec, say: Say = host_settings.silently, aid: Startup = ALONE) -> Iterator[Site]:
        """The two hosts, and around them the settings that the spec wishes of the whole machine, for so long.

        `say` gets a line for a person about those settings, such as that another lab has them and is waited for.
        """
        with host_settings.applied(spec.host_sysctls, say=say) as before, self.hosts(spec, aid) as site:
            yield replace(site, core_before=before, aside=aid.aside)


def find(name: str) -> Testbed:
    """The testbed of this name, which is one of the catalogue's: the others are not imported."""
    testbed: Testbed = importlib.import_module(f"{__name__}.{name}").TESTBED
    return testbed


def catalogue() -> dict[str, Testbed]:
    """Every testbed by its name."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    found = [module.TESTBED for module in modules if hasattr(module, "TESTBED")]
    return {testbed.name: testbed for testbed in sorted(found, key=lambda each: each.name)}
