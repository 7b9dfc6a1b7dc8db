"""A process helper, which imports what is slow and makes calls for its parent: descriptors go both ways with them.

pyroute2 takes 0.2 s to import and scapy as long. Begun before anything else is imported, the child has both behind it
when the parent has read its command line and raised its hosts: with two processors a run begins a fifth sooner.
"""

import io
import os
import pickle
import select
import signal
import socket
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, NoReturn, ParamSpec, TypeVar

from lab.errors import LabError, TestbedError
from lab.kernel.place.netns import Namespace, die_with, signals_held

P = ParamSpec("P")
R = TypeVar("R")

LARGEST = 1 << 16
"""Bytes of a call and of an answer."""
DESCRIPTORS = 8
"""That go with one."""


class HelperProcess:
    """One forked child. Calls are answered in their order; `close()` kills it, whatever it is at."""

    def __init__(self, *ahead: Callable[[], object]) -> None:
        """`ahead` is done in its order, while there is no call to answer."""
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        with signals_held():
            self._pid = os.fork()
            if self._pid == 0:
                self._channel.close()
                _work(theirs, parent, ahead)
        theirs.close()

    def ask(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Begin a call of a module's function. Its arguments may be namespaces, which are the child's for this call."""
        try:
            _send(self._channel, (function, args, kwargs))
        except OSError:
            raise _gone() from None

    def answer(self, limit_s: float | None = None) -> Any:  # noqa: ANN401 - of whichever call is the next
        """What the call came to, a socket for one. Raises what it raised, TestbedError if no word came in `limit_s`."""
        if not select.select([self._channel], [], [], limit_s)[0]:
            raise _gone()
        try:
            (value, error), _ = _receive(self._channel)
        except (EOFError, OSError):
            raise _gone() from None
        if error is not None:
            raise error
        return value

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`function`'s result, of the child's making."""
        self.ask(function, *args, **kwargs)
        answer: R = self.answer()
        return answer

    def close(self) -> None:
        """At most once does anything."""
        if self._channel.fileno() < 0:
            return
        self._channel.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def __enter__(self) -> "HelperProcess":
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()


def _gone() -> TestbedError:
    return TestbedError("a child of the lab ended, or was stopped, before it had an answer")


def _work(channel: socket.socket, parent: int, ahead: Iterable[Callable[[], object]]) -> NoReturn:
    try:
        die_with(parent)
        pending = list(ahead)
        while True:
            if pending and not select.select([channel], [], [], 0)[0]:
                with suppress(Exception):  # the call that needs it will tell
                    pending.pop(0)()
            else:
                _serve(channel)
    finally:
        os._exit(0)


def _serve(channel: socket.socket) -> None:
    """The next call; nothing of it is kept."""
    (function, args, kwargs), descriptors = _receive(channel)
    try:
        answer: tuple[object, Exception | None] = (function(*args, **kwargs), None)
    except (LabError, MemoryError, SystemError) as error:
        answer = (None, error)
    except OSError as error:
        error.add_note(traceback.format_exc())
        answer = (None, error)
    except Exception:  # noqa: BLE001 - carried over to the caller, none is swallowed
        answer = (None, RuntimeError(traceback.format_exc()))
    _send(channel, answer)
    for each in descriptors:
        os.close(each)


class _Pickler(pickle.Pickler):
    """Namespaces and sockets are replaced by their descriptors' place beside the message."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.descriptors: list[int] = []

    def persistent_id(self, value: object) -> tuple[type, int] | None:
        if isinstance(value, Namespace) and value.fd is not None:
            self.descriptors.append(value.fd)
        elif isinstance(value, socket.socket):
            self.descriptors.append(value.fileno())
        else:
            return None
        return type(value), len(self.descriptors) - 1


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, descriptors: list[int]) -> None:
        super().__init__(file)
        self._descriptors = descriptors

    def persistent_load(self, reference: tuple[type, int]) -> Namespace | socket.socket:
        kind, place = reference
        descriptor = self._descriptors[place]
        return Namespace(descriptor) if issubclass(kind, Namespace) else socket.socket(fileno=descriptor)


def _send(channel: socket.socket, value: object) -> None:
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(value)
    assert file.tell() <= LARGEST
    assert len(pickler.descriptors) <= DESCRIPTORS
    socket.send_fds(channel, [file.getvalue()], pickler.descriptors)


def _receive(channel: socket.socket) -> tuple[Any, list[int]]:
    """What `_send` was given, and the descriptors that came with it. Raises EOFError when the other side has ended."""
    data, descriptors, _, _ = socket.recv_fds(channel, LARGEST, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    return _Unpickler(io.BytesIO(data), descriptors).load(), descriptors
