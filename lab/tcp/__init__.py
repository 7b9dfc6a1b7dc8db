"""A TCP connection seen from outside. Pure, and independent of how it was captured.

* `seq`: arithmetic of sequence numbers. `address`: the text of one end.
* `segment`: one TCP segment. `frame`: dissects a captured frame into one. `notation`: segments as text.
* `connection`: the sequence variables of both ends, and what each segment is by RFC 9293.
* `marks`: what each segment is to Wireshark.
"""
