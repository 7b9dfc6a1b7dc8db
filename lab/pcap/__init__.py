"""Capture files: frames to and from disk, in the formats that Wireshark reads and writes; one module a format.

The only room that knows the libraries for them. What the frames mean is for `lab.tcp` and `lab.proof` to say.
"""
