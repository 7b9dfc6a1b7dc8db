"""Where something runs.

netns            network namespaces, held by descriptors
pyroute2_parts   the parts of pyroute2 that are used, imported without the rest
link             links, addresses and MTU inside namespaces
sysctl           reads and writes sysctls of a namespace
host_settings    `net.core` of the whole host, changed for a while and put back
journal          what is changed on the host, on disk before it is changed
machine          what this machine has to spare
helper_process   a process beside, which imports what is slow and makes calls for its parent
"""
