"""More is queued than the peer could ever take without a read, whether its window is open or closed.

A byte of payload costs at least a byte of receive buffer, also after tcp_collapse(), so the peer can take its offered
window and what the payload of its queue leaves of the buffer. While data moves cwnd and reordering may grow, so only
tcp_wmem[2], or a buffer that cannot grow, bounds the send buffer.
"""

from lab.evidence import SocketSample
from lab.proof.stack.in_flight import received_unacked
from lab.proof.stack.ruling import Argument, Ruling
from lab.proof.stack.send_buffer import is_fixed, sealed
from lab.proof.stack.traits import KernelTraits


def capacity(sender: SocketSample, peer: SocketSample, arrival: Ruling, kernel: KernelTraits) -> Ruling | None:
    if peer.rcv_wnd is None:
        return None
    wmem_max = kernel.largest_wmem(sender)
    most = sender.sndbuf if is_fixed(sender, kernel) else wmem_max and max(sender.sndbuf, wmem_max)
    taken = peer.rcv_wnd + max(0, peer.rcvbuf - peer.rqueue) + received_unacked(sender, peer)[1]
    left = sender.wqueue - taken
    if most is None or left <= 0:
        return None
    found = sealed(sender, left, arrival, most, Argument.CAPACITY)
    return found if found.excluded else None
