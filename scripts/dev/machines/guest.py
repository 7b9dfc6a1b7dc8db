"""Process 1 of a place: mounts what a program expects, and runs Python with the arguments that it has itself.

The standard library alone.

The job's output goes to the second serial line, the kernel's messages to the first. The last line is `exit CODE`: then
the machine may be switched off.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

PROJECT = Path("/lab/project")
MOUNTS = {
    "/dev/pts": "devpts",
    "/dev/shm": "tmpfs",
    "/run": "tmpfs",
    "/tmp": "tmpfs",
    "/sys/fs/cgroup": "cgroup2",
    "/sys/kernel/security": "securityfs",
}
MODULES = ("veth", "tcp_diag", "inet_diag", "unix_diag", "netlink_diag", "nf_conntrack_netlink")
"""What a machine in use has loaded. Here, the first use would take seconds, and use up the lab's time limits."""
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PYTHONPATH": f"{PROJECT}:/lab",
    "PYTHONUNBUFFERED": "1",
}


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for folder, kind in MOUNTS.items():
        Path(folder).mkdir(parents=True, exist_ok=True)
        if libc.mount(kind.encode(), folder.encode(), kind.encode(), 0, None) != 0:
            print(f"guest: no {kind} at {folder}: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
    Path("/tmp").chmod(0o1777)
    os.environ.update(ENVIRONMENT)
    socket.sethostname("place")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["modprobe", "--all", *MODULES], check=True)
    # Programs write to a terminal, such as a serial line, with colours, and to a pipe without.
    shown = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert shown.stdin
    argv = [sys.executable, *sys.argv[1:]]
    played = subprocess.Popen(argv, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=shown.stdin, stderr=shown.stdin)
    os.write(shown.stdin.fileno(), b"exit %d\n" % _reaped(played.pid))


def _reaped(pid: int) -> int:
    """The exit code of that child; orphans are process 1's to reap meanwhile."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    line = os.open("/dev/ttyS1", os.O_WRONLY | os.O_NOCTTY)
    os.dup2(line, 1)
    os.dup2(line, 2)
    try:
        main()
    except BaseException:  # noqa: BLE001 - the kernel panics when process 1 ends
        traceback.print_exc()
        print("exit 4", flush=True)
    while True:
        signal.pause()
