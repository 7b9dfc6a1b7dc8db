"""Frames from a packet socket.

* `packet_socket`: opens one by scapy, with a filter in the kernel.
* `ring`: reads the frames from memory that the kernel fills, and counts those that were lost.
"""
