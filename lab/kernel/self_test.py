"""Tries what a run will need, in a child with namespaces of its own that end with it: the facts behind `lab doctor`."""

import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import astuple, dataclass

from lab.errors import LabError
from lab.kernel.capture.ring import Capture
from lab.kernel.place import link, netns, sysctl
from lab.kernel.place.netns import Namespace
from lab.kernel.processes.threads import Threads
from lab.kernel.sockets.sock_diag import SocketDiag, join_address
from lab.spec import CaptureMode, Pair, Role

LIMIT_S = 10.0
ADDRESSES = Pair("198.18.20.20", "198.18.20.10")
"""Nobody else is in the namespaces where these addresses are used."""


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """Whether it works, and how or why not."""

    works: bool
    found: str


def run_needs() -> dict[str, SelfTestResult]:
    """`namespaces sysctls capture inet_diag rcv_wnd waits`; what took too long is missing."""
    reader, writer = os.pipe()
    with netns.signals_held():
        pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(int(LIMIT_S))
            os.write(writer, json.dumps({name: astuple(each) for name, each in _all().items()}).encode())
        except BaseException:  # noqa: BLE001 - the end of the child: what is not written here is seen by nobody
            traceback.print_exc(file=sys.stderr)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read() if select.select([reader], [], [], LIMIT_S + 1)[0] else b""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return {name: SelfTestResult(*each) for name, each in json.loads(told or b"{}").items()}


def _all() -> dict[str, SelfTestResult]:
    found = {"waits": _try(_waits)}
    with ExitStack() as stack:
        hosts, addresses, interface = Pair(Namespace.here(), Namespace.here()), Pair("127.0.0.1", "127.0.0.1"), "lo"
        try:
            who = _become_root()
            hosts = Pair(*(stack.enter_context(Namespace.create()) for _ in Role))
            _join(hosts)
            addresses, interface = ADDRESSES, link.INTERFACE
            found["namespaces"] = SelfTestResult(True, who)
        except LabError as error:
            found["namespaces"] = SelfTestResult(False, str(error))
        if interface == "lo":
            found["sysctls"] = SelfTestResult(False, "there are no namespaces of its own to write them in")
        else:
            found["sysctls"] = _try(lambda: _written(hosts.client))
        found["capture"] = _try(lambda: _captured(hosts.client, interface))
        found |= _asked(hosts, addresses)
    return found


def _try(ask: Callable[[], str]) -> SelfTestResult:
    try:
        return SelfTestResult(True, ask())
    except (LabError, OSError) as error:
        return SelfTestResult(False, str(error))


def _become_root() -> str:
    if os.geteuid() == 0:
        return "as root"
    netns.become_root_of_a_user_namespace()
    return "without root, in a user namespace"


def _join(hosts: Pair[Namespace]) -> None:
    link.lay(hosts.client, hosts.server, (f"{ADDRESSES.client}/24", f"{ADDRESSES.server}/24"))


def _written(namespace: Namespace) -> str:
    sysctl.write(namespace, {"tcp_rmem": "4096 8192 16384", "tcp_wmem": "4096 8192 16384"})
    return "tcp_rmem and tcp_wmem, in each endpoint's namespace"


def _captured(namespace: Namespace, interface: str) -> str:
    with closing(Capture(namespace, interface, CaptureMode.PROOF, 1060, 128)):
        return f"opened on {interface}"


def _asked(hosts: Pair[Namespace], addresses: Pair[str]) -> dict[str, SelfTestResult]:
    """One TCP connection, looked up."""
    try:
        with (
            hosts.server.call(socket.create_server, (addresses.server, 0)) as listener,
            hosts.client.call(socket.create_connection, listener.getsockname(), LIMIT_S) as client,
            closing(SocketDiag(hosts.client)) as diag,
        ):
            local, remote = (
                join_address(socket.inet_aton(host), port)
                for host, port in (client.getsockname(), client.getpeername())
            )
            sample = diag.sample(Role.CLIENT, local, remote)
    except (LabError, OSError) as error:
        return {
            "inet_diag": SelfTestResult(False, str(error)),
            "rcv_wnd": SelfTestResult(False, "inet_diag does not answer"),
        }
    known = sample is not None and sample.rcv_wnd is not None
    return {
        "inet_diag": SelfTestResult(sample is not None, "answers" if sample else "does not know an open connection"),
        "rcv_wnd": SelfTestResult(
            known, f"{sample.rcv_wnd} bytes" if sample and known else "tcp_info ends before tcpi_rcv_wnd"
        ),
    }


def _waits() -> str:
    """What a child's only thread waits for, which is known: it reads from a pipe that nobody writes to."""
    reader, writer = os.pipe()
    with netns.signals_held():
        pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    threads = Threads()
    try:
        deadline = time.monotonic() + 2
        while True:
            for thread in (seen := threads.of(pid)):
                thread.read()
            syscalls = [thread.line.syscall for thread in seen]
            if syscalls == ["read"]:
                return "what a thread of an own child waits for is seen"
            if time.monotonic() > deadline:
                raise PermissionError(f"a thread that waits in read() shows as {syscalls}")
            time.sleep(0.002)
    finally:
        threads.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)
