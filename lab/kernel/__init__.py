"""Every word spoken with Linux: namespaces, links, sysctls, inet_diag, /proc and packet sockets.

    procfs       facts of one process from /proc, for all the others
    place/       where something runs: namespaces, links, sysctls, and what is put back on the host
    sockets/     the sockets of a namespace: inet_diag, NAT, counters, and which two are one connection
    capture/     frames from a packet socket
    processes/   threads, what they wait for, descriptors, and the options of their sockets
    snapshots    consistent snapshots of connections and of the processes around them
    self_test    tries what a run needs

Each imports only from those above it; `sockets` and `capture` do not know each other (tests/test_architecture.py).
"""
