"""More is queued than the peer could ever take without a read, whether its window is open or closed.

A byte of payload costs at least a byte of receive buffer, also after tcp_collapse(). So the peer can take its offered
window and what the payload of its queue leaves of the buffer, rounded up to the unit of its window scale.

Unless SO_RCVBUF is set the buffer grows without a read, up to tcp_rmem[2]: by tcp_clamp_window() when it overflows, and
by data out of order on some kernels (tcp_data_queue_ofo(), tcp_rcvbuf_grow()). Measured: 16 KiB became 51 KiB.

While data moves cwnd and reordering may grow. So only tcp_wmem[2], or a buffer that cannot grow, bounds the send
buffer.
"""

from lab.evidence import SocketSample
from lab.proof.stack.closed_window import unit_of
from lab.proof.stack.in_flight import received_unacked
from lab.proof.stack.ruling import Argument, Ruling
from lab.proof.stack.send_buffer import is_fixed, sealed
from lab.proof.stack.traits import KernelTraits


def capacity(sender: SocketSample, peer: SocketSample, arrival: Ruling, kernel: KernelTraits) -> Ruling | None:
    rcvbuf = kernel.largest_rcvbuf(peer)
    if peer.rcv_wnd is None or rcvbuf is None:
        return None
    wmem_max = kernel.largest_wmem(sender)
    most = sender.sndbuf if is_fixed(sender, kernel) else wmem_max and max(sender.sndbuf, wmem_max)
    taken = peer.rcv_wnd + max(0, rcvbuf - peer.rqueue) + unit_of(peer) + received_unacked(sender, peer)[1]
    left = sender.wqueue - taken
    if most is None or left <= 0:
        return None
    found = sealed(sender, left, arrival, most, Argument.CAPACITY)
    return found if found.excluded else None
