"""Frames from a packet socket: scapy opens it, a filter and a ring of ours keep up with it.

* `packet_socket`: opens scapy's packet socket on one interface of one namespace.
* `ring`: captures through it without loss.
"""
