"""The kernel's own choice of a window, for the simulators that check the rules of `lab.proof.stack`."""


def select_window(free: int, allowed: int, clamp: int, rcv_mss: int, wscale: int = 0) -> int:
    """__tcp_select_window(), without the right edge: the window in bytes, before it is rounded up to its unit.

    `free` and `allowed` are shares: what is free of the buffer, and the whole of it, as far as they make a window.
    """
    full = min(clamp, allowed)
    mss = min(rcv_mss, full)
    if mss <= 0:
        return 0
    if free < full // 2:
        free = free >> wscale << wscale
        if free < allowed >> 4 or free < mss:
            return 0
    return min(free, clamp)
