"""A helper process: it imports what is slow to import, and makes calls for its parent, with descriptors both ways.

rtnetlink of pyroute2 takes 0.1 s to import and scapy 0.2 s. The child is started before anything else is imported. So
it has imported both when the parent has read its command line and created its hosts: with two processors a run starts
a fifth sooner.
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
"""Bytes: the limit for a call and for an answer."""
DESCRIPTORS = 8
"""The limit for one call or answer."""


class HelperProcess:
    """One forked child. It answers calls in their order. `close()` kills it at once, in the middle of a call too."""

    def __init__(self, *ahead: Callable[[], object]) -> None:
        """The child calls the functions in `ahead`, in their order, while there is no call to answer."""
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        with signals_held():
            self._pid = os.fork()
            if self._pid == 0:
                self._channel.close()
                _work(theirs, parent, ahead)
        theirs.close()

    def ask(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Start a call of a module's function. A namespace among the arguments is open in the child meanwhile."""
        try:
            _send(self._channel, (function, args, kwargs))
        except OSError:
            raise _gone() from None

    def answer(self, limit_s: float | None = None) -> Any:  # noqa: ANN401 - of whichever call is the next
        """The result of the oldest call; it may be a socket. Raises what it raised, TestbedError after `limit_s`."""
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
        """`function`'s result, computed by the child."""
        self.ask(function, *args, **kwargs)
        answer: R = self.answer()
        return answer

    def close(self) -> None:
        """A second call does nothing."""
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
                with suppress(Exception):  # the call that needs it will raise it again
                    pending.pop(0)()
            else:
                _serve(channel)
    finally:
        os._exit(0)


def _serve(channel: socket.socket) -> None:
    """Answer the next call, and close its descriptors."""
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
    """Replaces each namespace and socket by the index of its descriptor in the list that is sent along."""

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
