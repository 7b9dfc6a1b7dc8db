"""Two network namespaces and a veth pair: the same hosts as the containers', without Docker, with or without root.

Nothing here has a name. The namespaces are held by descriptors and by programs that die with the lab, so a kill -9
leaves nothing behind.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from lab.kernel.place import link, machine, netns
from lab.kernel.place.helper_process import HelperProcess
from lab.kernel.place.netns import Namespace
from lab.spec import Pair, Role, Spec
from lab.testbed import Site, Startup, Testbed, process

PREFIX = {4: 24, 6: 120}


@contextmanager
def site(spec: Spec, startup: Startup) -> Iterator[Site]:
    """Two hosts and their programs, for one run."""
    if _became_root() and startup.helper:
        startup.helper.call(netns.join_user_namespace_of, os.getpid())
    identity = os.urandom(8).hex()
    addresses = _addresses(spec)
    with ExitStack() as stack:
        helper = startup.helper or stack.enter_context(HelperProcess(machine.load_rtnetlink))
        namespaces = stack.enter_context(_namespaces())
        hosts = stack.enter_context(process.endpoints(namespaces, identity))
        helper.ask(link.lay, *_cable(namespaces, spec))
        startup.meanwhile()
        interfaces = helper.answer(spec.limits.barrier_s)
        programs = stack.enter_context(process.programs(namespaces, identity, spec.limits.barrier_s, hosts))
        standing = f"nsenter -n -t {programs.client.host_pid} ss -tnoiem, and {programs.server.host_pid} for the server"
        yield Site(namespaces, programs, addresses, interfaces, standing=standing)


@contextmanager
def warm() -> Iterator[Callable[[Spec], AbstractContextManager[Site]]]:
    """Creates one site after the other, without starting Python for each.

    Only the endpoints' hosts stay, in a namespace of their own. Each site has new namespaces, a new link and new
    programs. So a run sees nothing of the runs before: no metrics of old connections, no TIME_WAIT, route or sysctl.
    """
    _became_root()
    identity = os.urandom(8).hex()
    with Namespace.create() as apart, process.endpoints(Pair(apart, apart), identity) as hosts:

        @contextmanager
        def next_site(spec: Spec) -> Iterator[Site]:
            with ExitStack() as stack:
                namespaces = stack.enter_context(_namespaces())
                addresses = _addresses(spec)
                interfaces = link.lay(*_cable(namespaces, spec))
                met = process.programs(Pair(apart, apart), identity, spec.limits.barrier_s, hosts)
                programs = stack.enter_context(met)
                for role in Role:
                    programs[role].plays_in = namespaces[role]
                yield Site(namespaces, programs, addresses, interfaces)

        yield next_site


def _became_root() -> bool:
    if os.geteuid() == 0:
        return False
    netns.become_root_of_a_user_namespace()
    return True


@contextmanager
def _namespaces() -> Iterator[Pair[Namespace]]:
    with Namespace.create() as client, Namespace.create() as server:
        yield Pair(client, server)


def _addresses(spec: Spec) -> Pair[str]:
    return Pair(*(spec.address(role) for role in Role))


def _cable(namespaces: Pair[Namespace], spec: Spec) -> tuple[Namespace, Namespace, tuple[str, str], int | None]:
    """The arguments of `link.lay`."""
    client, server = (f"{address}/{PREFIX[spec.ip]}" for address in _addresses(spec))
    return namespaces.client, namespaces.server, (client, server), spec.mtu


TESTBED = Testbed("netns", "two network namespaces and a veth pair; no Docker, root or a user namespace", site)
