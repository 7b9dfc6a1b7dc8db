"""Two network namespaces and a veth pair: the same hosts as the containers', without Docker, with or without root.

Nothing here has a name: the namespaces are held by descriptors and programs that die with the lab, so a kill -9 leaves
nothing behind.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from lab.kernel import link, netns
from lab.kernel.netns import Namespace
from lab.spec import Pair, Role, Spec
from lab.testbed import Site, Testbed, process

PREFIX = {4: 24, 6: 120}


@contextmanager
def site(spec: Spec) -> Iterator[Site]:
    if os.geteuid() != 0:
        netns.become_root_of_a_user_namespace()
    identity = secrets.token_hex(8)
    with ExitStack() as stack:
        namespaces = Pair(*(stack.enter_context(Namespace.create()) for _ in Role))
        hosts = stack.enter_context(process.endpoints(namespaces, identity))
        addresses = Pair(*(spec.address(role) for role in Role))
        link.join(namespaces.client, namespaces.server, spec.mtu)
        for role in Role:
            link.bring_up(namespaces[role], (f"{addresses[role]}/{PREFIX[spec.ip]}",))
        programs = stack.enter_context(process.programs(namespaces, identity, spec.limits.barrier_s, hosts))
        standing = f"nsenter -n -t {programs.client.host_pid} ss -tnoiem, and {programs.server.host_pid} for the server"
        yield Site(namespaces, programs, addresses, link.INTERFACE, standing=standing)


TESTBED = Testbed("netns", "two network namespaces and a veth pair; no Docker, root or a user namespace", site)
