"""Starts the endpoint programs as processes of this machine that die with the lab."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from lab.installation import FOLDER
from lab.kernel.place.netns import Namespace, program_in, signals_held
from lab.spec import Pair, Role
from lab.testbed.barrier import Program


@contextmanager
def endpoints(namespaces: Pair[Namespace], identity: str) -> Iterator[Pair[int]]:
    """The pids of both endpoints, each started in its namespace. They are ended and reaped at the end."""
    with ExitStack() as stack:
        yield Pair(*(stack.enter_context(_endpoint(namespaces[role], identity, role)) for role in Role))


@contextmanager
def _endpoint(namespace: Namespace, identity: str, role: Role) -> Iterator[int]:
    with signals_held():
        process = subprocess.Popen(
            # -S: no site-packages, an endpoint is standard library only; it starts 20 ms sooner.
            [sys.executable, "-S", "-m", "lab.endpoint", role, identity],
            cwd=FOLDER,  # -m looks here first: no other package of that name can slip in
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            start_new_session=True,  # Ctrl-C at the terminal is for the controller
            preexec_fn=program_in(namespace),  # noqa: PLW1509 - the lab has one thread here, and nothing else can setns
        )
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def programs(namespaces: Pair[Namespace], identity: str, limit_s: float, hosts: Pair[int]) -> Iterator[Pair[Program]]:
    """The programs of these two hosts, met at the barrier."""
    with ExitStack() as stack:
        met = []
        for role in Role:
            program = Program.meet(namespaces[role], identity, role, limit_s, hosts[role])
            stack.callback(program.close)
            met.append(program)
        yield Pair(*met)
