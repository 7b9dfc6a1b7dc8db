"""Programs as /proc shows them: threads, system calls, waits, descriptors, and the options of their sockets."""
