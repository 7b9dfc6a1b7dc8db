"""Frames from a packet socket: scapy opens it, a filter and a ring of ours keep up with it."""
