"""Foretells a spec that is not played, by the settings of this host: `lab forecast` needs nothing of what plays one."""

from lab.evidence import Settings
from lab.forecast import SYSCTLS, Forecast, forecast, tuned
from lab.kernel.place import sysctl
from lab.kernel.place.netns import Namespace
from lab.spec import Pair, Spec


def foretell(spec: Spec) -> Forecast:
    """The forecast for a spec that is not played. A new namespace starts with the host's tcp_rmem and tcp_wmem."""
    host = sysctl.read(Namespace.here(), SYSCTLS)
    mtu = spec.mtu or (65536 if spec.testbed == "loopback" else 1500)
    settings: Pair[Settings | None] = Pair(*(tuned(Settings(host, host, mtu), buffers) for buffers in spec.buffers))
    core = sysctl.read_core() | {key: str(value) for key, value in spec.host_sysctls.items()}
    return forecast(spec, settings, core)
