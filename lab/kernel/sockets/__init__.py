"""The sockets of a namespace: inet_diag and unix_diag, NAT, counters, and which two are one connection."""
