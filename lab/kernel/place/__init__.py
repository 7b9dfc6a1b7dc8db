"""Where something runs, and what is changed there.

* `netns`: network namespaces, entered, made and held.
* `link`: links and addresses in them.
* `sysctl`: settings under /proc/sys/net.
* `host_settings`: settings that belong to the whole host, changed for a while.
* `journal`: what was changed on the whole host, on disk until it is put back.
* `machine`: what this machine can spare.
* `helper_process`: a process that imports and does for its parent what is slow.
* `pyroute2_parts`: the modules of pyroute2 that are needed, without the others.
"""
