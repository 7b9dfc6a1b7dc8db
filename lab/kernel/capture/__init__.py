"""Frames of one interface.

packet_socket   scapy's packet socket, before it sees a frame
ring            a kernel filter and a ring in shared memory, which keep up with it
"""
