"""Other kernels on this machine: Debian's, booted by QEMU in software emulation, with the project in each.

* `place`: the kernels and settings, as data.
* `debian`: what a place is made of: kernels and a root file system from Debian's packages, cached outside of the clone.
* `boot`: one place is booted with one Python file as its job; its output is passed on line by line.
* `guest`: process 1 in there. The standard library alone.
"""
