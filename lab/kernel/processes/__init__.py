"""Programs as /proc and a few system calls show them.

    threads             what each thread is doing now, and whether it ran meanwhile
    suspension          whether a thread is stopped, traced or frozen
    waits               what a thread in a system call waits for: one reader for each form of arguments
    wait_builder        puts one such wait together
    memory              arguments that lie in the program's memory
    deadlines           when a timed wait ends
    descriptors         what a descriptor refers to
    descriptor_tables   which processes hold a resource; what else is told of a process
    kcmp                whether two tasks have the same file, memory or descriptor table
    socket_options      the options that a program has set on its socket
    runtime             Go, JVM or Node: runtimes with housekeeping threads

All is read from outside: nothing is paused, attached to or changed.
"""
