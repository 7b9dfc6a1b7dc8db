"""Where a spec is played: the only room that starts, stops or names containers, namespaces and programs.

A testbed is one module with a constant TESTBED, found by `catalogue`. It creates a site (two hosts, each with an
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
from typing import ParamSpec, TypeVar

from lab.errors import unknown
from lab.kernel.place import host_settings
from lab.kernel.place.helper_process import HelperProcess
from lab.kernel.place.host_settings import Say
from lab.kernel.place.link import Interface
from lab.kernel.place.netns import Namespace
from lab.spec import Pair, Spec
from lab.testbed.barrier import Program

P = ParamSpec("P")
R = TypeVar("R")


def nothing() -> None:
    """There is nothing to do meanwhile."""


@dataclass(frozen=True, slots=True)
class Startup:
    """What a caller may give to a testbed to make it start faster."""

    meanwhile: Callable[[], object] = nothing
    """Work that the caller has to do anyway. It is called once, while the testbed only waits for its hosts."""
    helper: HelperProcess | None = None
    """One that was started early. The caller closes it."""

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`function`'s result, from the helper process if there is one: it has imported what is slow to import."""
        return self.helper.call(function, *args, **kwargs) if self.helper else function(*args, **kwargs)


ALONE = Startup()


@dataclass(frozen=True, slots=True)
class Site:
    """Two hosts, ready: their namespaces, and their programs held at the barrier."""

    namespaces: Pair[Namespace]
    programs: Pair[Program]
    addresses: Pair[str]
    interfaces: Pair[Interface]
    """Where the frames of each pass, in its namespace."""
    private_sysctls: bool = True
    """Whether each host has sysctls of its own that may be written."""
    standing: str = ""
    """What a person can type to look at the pair while it stands."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Facts about this place, for the manifest."""
    helper: HelperProcess | None = None
    """The caller's, if it has one: it makes calls for the experiment."""
    core_before: Mapping[str, str] = field(default_factory=dict)
    """`net.core.*` of the host before the spec's `host_sysctls` were written; empty if it has none."""


@dataclass(frozen=True, slots=True)
class Testbed:
    """A place where a spec can be played."""

    name: str
    summary: str
    hosts: Callable[[Spec, Startup], AbstractContextManager[Site]]
    """The two hosts alone, without the settings of the whole machine."""

    @contextmanager
    def site(self, spec: Spec, say: Say = host_settings.silently, startup: Startup = ALONE) -> Iterator[Site]:
        """The two hosts. While they stand, the whole machine has the settings that the spec asks for.

        `say` gets a line for a person about those settings, such as that another lab has them and is waited for.
        """
        with host_settings.applied(spec.host_sysctls, say=say) as before, self.hosts(spec, startup) as site:
            yield replace(site, core_before=before, helper=startup.helper)


def find(name: str) -> Testbed:
    """The testbed of this name; the others are not imported. Raises SpecError."""
    modules = {each.name for each in pkgutil.iter_modules(__path__)}
    module = importlib.import_module(f"{__name__}.{name}") if name in modules else None
    found: Testbed | None = getattr(module, "TESTBED", None)
    if found is None:
        raise unknown("testbed", name, catalogue())
    return found


def catalogue() -> dict[str, Testbed]:
    """Every testbed by its name."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    found = [module.TESTBED for module in modules if hasattr(module, "TESTBED")]
    return {testbed.name: testbed for testbed in sorted(found, key=lambda each: each.name)}
