"""Reads and writes sysctls through /proc/sys/net, where pyroute2 has no call for them (0.9.7) and netlink no message.

`net.ipv4.*` belongs to a network namespace. The path resolves in the namespace of the thread that opens it, so a thread
enters the namespace first (`Namespace.call`, by pyroute2).
"""

import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from lab.errors import EnvironmentLacksError, SpecError
from lab.kernel.place.netns import Namespace
from lab.spec import HOST_SYSCTLS


def root() -> Path:
    """/proc/sys, or where a writable view of it is mounted (a container's own is read-only): LAB_SYS."""
    return Path(os.environ.get("LAB_SYS") or "/proc/sys")


def read(namespace: Namespace, keys: Iterable[str]) -> dict[str, str]:
    """`net.ipv4` keys of a namespace, with single spaces. A key that this kernel lacks is left out."""
    return namespace.call(_read, root() / "net/ipv4", tuple(keys))


def read_core() -> dict[str, str]:
    """`net.core` keys of the host that limit buffers. Linux 6.18 shows them in every namespace, older kernels not."""
    return _read(root() / "net/core", tuple(HOST_SYSCTLS))


def write(namespace: Namespace, values: Mapping[str, str]) -> None:
    """Write `net.ipv4` keys in a namespace and read each back."""
    namespace.call(_write, root() / "net/ipv4", values)


def write_core(values: Mapping[str, str]) -> None:
    """Write `net.core` keys of the whole host and read each back. `lab.kernel.place.host_settings` alone calls it."""
    _write(root() / "net/core", values)


def require_writable_core(keys: Iterable[str]) -> None:
    """Raises EnvironmentLacksError, with what to do instead, unless these keys can be written here. Writes nothing."""
    for key in keys:
        try:
            os.close(os.open(root() / "net/core" / key, os.O_WRONLY | os.O_CLOEXEC))
        except OSError as error:
            raise EnvironmentLacksError(
                f"net.core.{key} is the whole host's, and {_why_not_from_here(error.errno)}; "
                "--so-rcvbuf and --so-sndbuf are the sockets' own"
            ) from None


def _why_not_from_here(number: int | None) -> str:
    instead = "run on the host as root, or by compose.yaml's controller"
    if number == errno.EROFS:
        return f"/proc/sys is read-only in this container: {instead}"
    if os.geteuid() != 0:
        return "only its root may write it: run as root"
    return f"it can be written from the host's own namespaces only: {instead}"


def _read(folder: Path, keys: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for key in keys:
        try:
            found[key] = " ".join((folder / key).read_text().split())
        except FileNotFoundError:
            continue
    return found


def _write(folder: Path, values: Mapping[str, str]) -> None:
    for key, value in values.items():
        name = f"net.{folder.name}.{key}"
        try:
            # Opened anew for the write: at an offset above 0 the kernel ignores it (sysctl_writes_strict).
            (folder / key).write_text(value)
        except FileNotFoundError:
            raise SpecError(f"{name}: this kernel has no such key") from None
        except PermissionError:
            raise EnvironmentLacksError(f"{name}: not writable here; run as root") from None
        except OSError as error:
            if error.errno == errno.EROFS:
                raise EnvironmentLacksError(
                    f"{name}: /proc/sys is read-only here; use compose.yaml's controller, or run on the host"
                ) from None
            raise SpecError(f"{name}={value}: the kernel refuses it ({error.strerror})") from None
        now = _read(folder, (key,))[key]
        if now != " ".join(value.split()):
            raise EnvironmentLacksError(f"{name}: wrote '{value}' and read back '{now}'")
