"""Programs as /proc and a few system calls show them. Nothing is paused, attached to or changed.

* `threads`: what each thread is doing now, and whether it ran meanwhile.
* `suspension`: whether a thread is stopped, traced or frozen.
* `sleep`: whether a thread sleeps in the wait of the call that it shows.
* `waits`: what a thread in a system call waits for: one reader for each form of arguments.
* `wait_builder`: puts one such wait together.
* `memory`: arguments that lie in the program's memory.
* `deadlines`: when a timed wait ends.
* `descriptors`: what a descriptor refers to.
* `signal_sources`: by which descriptors the kernel may signal a process.
* `autofs`: pipes into which the kernel writes.
* `descriptor_tables`: which processes hold a resource, and what else is known of a process.
* `kcmp`: whether two tasks have the same file, memory or descriptor table.
* `socket_options`: the options that a program has set on its socket.
* `runtime`: Go, JVM or Node: runtimes with housekeeping threads.
"""
