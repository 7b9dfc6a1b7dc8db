"""A relay in front of the engine's socket. It can stall or die, and the engine goes on."""

import contextlib
import socket
import threading
from pathlib import Path

ENGINE = "/var/run/docker.sock"
PIECE = 1 << 16


class Relay:
    """Listens at `path`, and passes bytes on, both ways."""

    def __init__(self, path: Path) -> None:
        self.address = f"unix://{path}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._flowing = threading.Event()
        self._flowing.set()
        self._open: set[socket.socket] = {self._listener}
        self._dead = False
        _start(self._admit)

    def stall(self) -> None:
        """From now on nothing passes, and new connections wait."""
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def die(self) -> None:
        """All connections break, and new ones are refused."""
        self._dead = True
        self._flowing.set()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _admit(self) -> None:
        while not self._dead:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            self._open |= {caller, engine}
            engine.connect(ENGINE)
            _start(self._pass_on, caller, engine)
            _start(self._pass_on, engine, caller)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE):
                self._flowing.wait()
                sink.sendall(data)
            self._flowing.wait()
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def _start(function: object, *arguments: object) -> None:
    threading.Thread(target=function, args=arguments, daemon=True).start()  # type: ignore[arg-type]
