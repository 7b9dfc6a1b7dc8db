"""Opens scapy's packet socket on one interface of one namespace. It sees no frame until it is bound."""

import logging
import socket

from lab.errors import EnvironmentLacksError
from lab.kernel.place.netns import Namespace


def opened(namespace: Namespace, interface: str) -> socket.socket:
    """A raw socket of protocol 0. Needs CAP_NET_RAW in the namespace."""
    try:
        return namespace.call(_opened, interface)
    except PermissionError:
        raise EnvironmentLacksError(f"cannot capture on {interface}: needs CAP_NET_RAW") from None
    except OSError as error:
        raise EnvironmentLacksError(f"cannot capture on {interface}: {error.strerror or error}") from None


def _opened(interface: str) -> socket.socket:
    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    from scapy.arch.linux import L2ListenSocket  # noqa: PLC0415 - 0.2 s to import, `machine.load_scapy`
    from scapy.interfaces import NetworkInterface  # noqa: PLC0415

    # Made here, because scapy remembers the interfaces of the namespace in which it was imported. A packet socket uses
    # only the name. Frames for other hosts do not matter, so promiscuous mode is off.
    this = NetworkInterface(None, {"name": interface, "network_name": interface})
    # With protocol 0 the kernel need not wait for frames in flight each time the socket is set up.
    listener = L2ListenSocket(iface=this, type=0, promisc=False)
    try:
        return listener.ins.dup()  # type: ignore[no-any-return]
    finally:
        listener.close()
