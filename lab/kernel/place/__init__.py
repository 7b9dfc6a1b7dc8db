"""Where something runs: namespaces, links, sysctls, what the whole host shares, and what is put back on it.

* `netns`: network namespaces, held by descriptors.
* `link`: links and addresses inside them.
* `sysctl`: their sysctls, and what the host has for `net.core`.
* `host_settings`: `net.core` of the whole host, changed for a while and put back.
* `journal`: what a lab changes on the host, on disk before the change.
* `helper_process`: a process that imports what is slow to import, and makes calls for its parent.
* `pyroute2_parts`: the modules of pyroute2 that are needed, and no others.
* `machine`: what this machine can spare.
"""
