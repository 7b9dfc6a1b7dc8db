"""Network namespaces, held by descriptors and never by name: when the last holder ends, the kernel removes them.

pyroute2 enters them. System calls of our own are left for what it has not or does otherwise:

* unshare(CLONE_NEWNET): its create() gives a namespace a name by a mount in /var/run/netns, which a kill leaves behind
  and which a user namespace may not make.
* unshare and setns of user namespaces, and prctl: it has neither.
* Its pushns() and popns() share one stack among all threads of a process, and its `netns=` argument forks a process for
  each socket (8 ms). Here a thread of its own enters a namespace and ends there.
"""

import ctypes
import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ENOBUFS
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from lab.errors import EnvironmentLacksError, TestbedError
from lab.kernel.place.pyroute2_parts import import_parts_only

P = ParamSpec("P")
R = TypeVar("R")

NS_GET_NSTYPE = 0xB703
"""ioctl_nsfs(2)."""
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1

ANSWER_S = 10
"""The limit for a call inside a namespace: the kernel answers within milliseconds, or the answer was lost."""

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")


class Namespace:
    """A network namespace, kept alive by an open descriptor."""

    def __init__(self, fd: int | None) -> None:
        self.fd = fd
        """None stands for the caller's own namespace, which need not be entered."""

    @classmethod
    def here(cls) -> "Namespace":
        return cls(None)

    @classmethod
    def create(cls) -> "Namespace":
        """A new, empty namespace. Needs CAP_SYS_ADMIN in the user namespace of the caller."""

        def unshared() -> int:
            _check(_libc.unshare(CLONE_NEWNET), "unshare(CLONE_NEWNET)")
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

        try:
            return cls(_in_thread(unshared))
        except OSError as error:
            raise EnvironmentLacksError(f"cannot make a network namespace ({error.strerror}): run as root") from None

    @classmethod
    def of(cls, pid: int) -> "Namespace":
        """The namespace of a process."""
        try:
            return cls(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        except PermissionError:
            raise EnvironmentLacksError(
                f"cannot open the network namespace of process {pid}: needs CAP_SYS_PTRACE, and "
                "CAP_DAC_OVERRIDE if it is another user's; run as root"
            ) from None
        except FileNotFoundError:
            raise TestbedError(f"process {pid} has ended") from None

    @property
    def is_one(self) -> bool:
        """Whether the descriptor refers to a network namespace, not to a file or another kind of namespace."""
        try:
            return self.fd is None or fcntl.ioctl(self.fd, NS_GET_NSTYPE) == CLONE_NEWNET
        except OSError:
            return False

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`function`'s result. A thread of its own enters the namespace, calls the function and ends.

        setns(2) moves one thread only, so the calling thread stays where it is on every path. A socket that the
        function opens belongs to the namespace, whichever thread uses it later.
        """

        if self.fd is None:
            return function(*args, **kwargs)

        def inside() -> R:
            self.enter()
            try:
                return function(*args, **kwargs)
            except OSError as error:
                if error.errno != ENOBUFS:
                    raise
                raise TestbedError("the kernel had no room for its answer (netlink, ENOBUFS): run it again") from None

        return _in_thread(inside)

    def enter(self) -> None:
        """Move the calling thread into the namespace for good. Needs CAP_SYS_ADMIN here and there."""
        if self.fd is None:
            return
        try:
            _setns()(self.fd, libc=_libc)
        except OSError as error:
            raise EnvironmentLacksError(
                f"cannot enter a network namespace ({os.strerror(error.errno or 0)}): needs CAP_SYS_ADMIN; run as root"
            ) from None

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)

    def __enter__(self) -> "Namespace":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _setns() -> Callable[..., None]:
    """pyroute2's setns(). Without `libc` it would run ldconfig to find the C library."""
    import_parts_only()
    from pyroute2.netns import setns  # noqa: PLC0415 - 10 ms to import, and many commands enter no namespace

    return setns  # type: ignore[no-any-return]


def _in_thread(function: Callable[[], R]) -> R:
    box: list[R] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            box.append(function())
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread, none is swallowed
            failure.append(error)

    # A daemon thread: an interrupted process does not wait for it at exit.
    thread = threading.Thread(target=run, name="netns", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        raise MemoryError("can't start new thread") from None  # or RLIMIT_NPROC: in both cases a limit of the caller
    for _ in range(ANSWER_S):
        thread.join(1.0)  # in steps: a pause by Ctrl-Z, however long, counts as one
        if not thread.is_alive():
            break
    if failure:
        raise failure[0]
    if not box:
        raise TestbedError(f"the kernel did not answer within {ANSWER_S} s (netlink): run it again")
    return box[0]


def become_root_of_a_user_namespace() -> None:
    """Move this process into a user namespace of its own, as its root (user_namespaces(7)).

    The kernel allows it to a process with one thread only, so it comes first. Raises EnvironmentLacksError where it is
    forbidden.
    """
    uid, gid = os.getuid(), os.getgid()
    try:
        _check(_libc.unshare(CLONE_NEWUSER), "unshare(CLONE_NEWUSER)")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise EnvironmentLacksError(
            f"no root and no user namespace ({error.strerror}): run as root, or use --testbed loopback"
        ) from None


def join_user_namespace_of(pid: int) -> None:
    """Move this process, which must have one thread only, into the user namespace of another process of its user."""
    descriptor = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, CLONE_NEWUSER), "setns(CLONE_NEWUSER)")
    finally:
        os.close(descriptor)


HELD = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


@contextmanager
def signals_held() -> Iterator[None]:
    """Block the signals that raise exceptions in the lab; used around every fork.

    Python runs callbacks at fork, such as the one that releases logging's lock. An exception raised in one of them is
    ignored, and the lock would be held forever. A child that goes on must unblock the signals itself.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def may_make_namespaces() -> str | None:
    """None if this process can create a network namespace, in a user namespace of its own if need be; else why not.

    Tried in a forked child, so that the caller stays where it is.
    """
    with signals_held():
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if os.geteuid() != 0:
                become_root_of_a_user_namespace()
            _check(_libc.unshare(CLONE_NEWNET), "unshare(CLONE_NEWNET)")
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    return None if status == 0 else "user and network namespaces are forbidden here"


def program_in(namespace: Namespace) -> Callable[[], Any]:
    """What a forked child does before exec: it enters `namespace`, and will die with its parent."""
    parent = os.getpid()
    if namespace.fd is not None:
        _setns()  # imported before the fork

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
        die_with(parent)
        namespace.enter()

    return prepare


def die_with(parent: int) -> None:
    """For a forked child: the kernel kills it when the thread that forked it ends (prctl(2), PR_SET_PDEATHSIG)."""
    _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # the parent ended before the kernel was asked
