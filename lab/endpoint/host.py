"""The host of a program: it waits for jobs and plays each in a child, so that a new run need not start Python again.

It holds no TCP socket. The child opens its own after the fork, so only the two children hold the connection. A job may
come with a network namespace, and its child plays there. So one host serves many runs, each in new namespaces. It waits
in one poll() for controllers and for the end of its child, and blocks on neither.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import time
from typing import NamedTuple, NoReturn

from lab.endpoint import job as jobs
from lab.endpoint import progress
from lab.endpoint.barrier import Caller, Handed, RefusedError, say
from lab.endpoint.play import play

MAX_CALLERS = 16
"""Controllers that have connected and not yet delivered a job; usually there is one."""

PR_SET_PDEATHSIG = 1
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Child(NamedTuple):
    pid: int
    pidfd: int
    controller: socket.socket


class Host:
    def __init__(self, role: str, listener: socket.socket) -> None:
        self.role = role
        self.listener = listener
        self.callers: dict[int, Caller] = {}
        self.child: Child | None = None
        # PID 1 of a container gets no signal that it has no handler for. Ctrl-C is for the controller, which shares
        # our terminal: it may want the frozen pair to stand.
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def attend(self) -> NoReturn:
        while True:
            for descriptor in self._wait():
                if descriptor == self.listener.fileno():
                    self._admit()
                elif descriptor in self.callers:
                    self._hear(self.callers[descriptor])
                elif self.child is not None and descriptor == self.child.pidfd:
                    self._reap(self.child, os.WNOHANG)
            self._refuse_the_late()

    def _wait(self) -> list[int]:
        """The descriptors that have news. There is a time-out only while a caller has yet to deliver its job."""
        poll = select.poll()
        watched = [self.listener.fileno(), *self.callers, *([self.child.pidfd] if self.child else [])]
        for descriptor in watched:
            poll.register(descriptor, select.POLLIN)
        deadlines = [caller.deadline for caller in self.callers.values()]
        patience_ms = max(0.0, min(deadlines) - time.monotonic()) * 1000 if deadlines else None
        return [descriptor for descriptor, _ in poll.poll(patience_ms)]

    def _admit(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except OSError:  # It went away between poll() and accept(): there is nobody to tell.
            return
        caller = Caller(connection)
        try:
            caller.check_identity()
            if len(self.callers) >= MAX_CALLERS:
                raise RefusedError(f"{MAX_CALLERS} controllers are ahead of you")
        except RefusedError as refused:
            caller.refuse(str(refused))
        else:
            self.callers[connection.fileno()] = caller

    def _hear(self, caller: Caller) -> None:
        number = caller.connection.fileno()
        try:
            if (line := caller.read()) is None:
                return
            job = jobs.parse(line, self.role)
            handed = caller.handed()
            progress.check(handed.page)
            self._play(job, caller.connection, handed)
        except RefusedError as refused:
            caller.refuse(str(refused))
        else:
            caller.close_descriptors()
        del self.callers[number]

    def _refuse_the_late(self) -> None:
        now = time.monotonic()
        for descriptor, caller in list(self.callers.items()):
            if caller.deadline <= now:
                del self.callers[descriptor]
                caller.refuse("no complete line came in time")

    def _play(self, job: jobs.Job, controller: socket.socket, handed: Handed) -> None:
        if self.child is not None:
            # A frozen pair that was left standing is ended. SIGKILL wakes a thread that is blocked in send() or recv().
            signal.pidfd_send_signal(self.child.pidfd, signal.SIGKILL)
            self._reap(self.child, 0)
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            raise RefusedError(f"cannot fork: {error.strerror}") from None
        if pid == 0:
            self._become_child(parent, job, controller, handed)
        self.child = Child(pid, os.pidfd_open(pid), controller)

    def _become_child(self, parent: int, job: jobs.Job, controller: socket.socket, handed: Handed) -> NoReturn:
        status = 70
        try:
            # A handled signal could end the freeze, so a proof must name it: the child handles none.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(status)  # The parent died before the prctl: nothing would ever end us.
            self.listener.close()
            for caller in self.callers.values():
                if caller.connection is not controller:
                    caller.close()
            if handed.namespace is not None:
                enter(handed.namespace)
            status = play(self.role, job, controller, handed.page, handed.log)
        except BaseException:  # noqa: BLE001 - The last chance: what is not written here is seen by nobody.
            import traceback  # noqa: PLC0415

            os.write(handed.log, traceback.format_exc().encode())
        finally:
            os._exit(status)

    def _reap(self, child: Child, flags: int) -> None:
        pid, status = os.waitpid(child.pid, flags)
        if pid == 0:
            return  # The news was about an earlier child, whose descriptor had the same number.
        code = os.waitstatus_to_exitcode(status)
        self.child = None
        os.close(child.pidfd)
        say(child.controller, "exited", status=max(code, 0), signal=-code if code < 0 else None)
        child.controller.close()

    def _terminate(self, *_: object) -> NoReturn:
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):  # It may have been reaped an instant ago.
                signal.pidfd_send_signal(self.child.pidfd, signal.SIGKILL)
                os.waitpid(self.child.pid, 0)  # Not every init reaps orphans: each run would leave a zombie.
        os._exit(0)


def enter(namespace: int) -> None:
    """Move into a network namespace, and keep no descriptor of it: it must end with its programs.

    By a system call of our own: an endpoint has the standard library only, which has os.setns() since Python 3.12.
    """
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(errno := ctypes.get_errno(), f"cannot enter the network namespace: {os.strerror(errno)}")
    os.close(namespace)
