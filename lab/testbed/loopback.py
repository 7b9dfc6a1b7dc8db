"""Both programs on 127.0.0.1, for places that forbid namespaces: socket options instead of sysctls."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from lab.kernel.place import link
from lab.kernel.place.netns import Namespace
from lab.spec import Pair, Role, Spec
from lab.testbed import Site, Startup, Testbed, process


@contextmanager
def site(spec: Spec, startup: Startup) -> Iterator[Site]:
    identity = os.urandom(8).hex()
    here = Pair(Namespace.here(), Namespace.here())
    with ExitStack() as stack:
        hosts = stack.enter_context(process.endpoints(here, identity))
        startup.meanwhile()
        addresses = Pair(*(spec.address(role) for role in Role))
        lo = startup.call(link.interface_of, here.client, addresses.client)
        programs = stack.enter_context(process.programs(here, identity, spec.limits.barrier_s, hosts))
        yield Site(here, programs, addresses, Pair(lo, lo), private_sysctls=False, standing="ss -tnoiem on this host")


TESTBED = Testbed("loopback", "127.0.0.1, where namespaces are forbidden; buffers by socket options only", site)
