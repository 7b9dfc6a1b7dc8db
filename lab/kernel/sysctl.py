"""Reads and writes sysctls. `net.ipv4.*` is per namespace: the path resolves in the namespace of the thread."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from lab.errors import EnvironmentLacksError, SpecError
from lab.kernel.netns import Namespace

CORE_KEYS = ("rmem_max", "wmem_max", "rmem_default", "wmem_default")


def root() -> Path:
    """/proc/sys, or where a writable view of it is mounted (a container's own is read-only): LAB_SYS."""
    return Path(os.environ.get("LAB_SYS") or "/proc/sys")


def read(namespace: Namespace, keys: Iterable[str]) -> dict[str, str]:
    """`net.ipv4` keys of a namespace, white space folded; a key that this kernel lacks is left out."""
    return namespace.call(_read, root() / "net/ipv4", tuple(keys))


def read_core() -> dict[str, str]:
    """`net.core` keys of the host that bear on buffers. Linux 6.18 shows them in every namespace; older ones do not."""
    return _read(root() / "net/core", CORE_KEYS)


def write(namespace: Namespace, values: Mapping[str, str]) -> None:
    """Write `net.ipv4` keys in a namespace and read each back."""
    namespace.call(_write, root() / "net/ipv4", values)


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
        try:
            # Opened anew for the write: at an offset above 0 the kernel ignores it (sysctl_writes_strict).
            (folder / key).write_text(value)
        except FileNotFoundError:
            raise SpecError(f"net.ipv4.{key}: this kernel has no such key") from None
        except PermissionError:
            raise EnvironmentLacksError(f"net.ipv4.{key}: not writable here; run as root") from None
        except OSError as error:
            if error.errno == _EROFS:
                raise EnvironmentLacksError(
                    f"net.ipv4.{key}: /proc/sys is read-only here; use compose.yaml's controller, or run on the host"
                ) from None
            raise SpecError(f"net.ipv4.{key}={value}: the kernel refuses it ({error.strerror})") from None
        now = _read(folder, (key,))[key]
        if now != " ".join(value.split()):
            raise EnvironmentLacksError(f"net.ipv4.{key}: wrote '{value}' and read back '{now}'")


_EROFS = 30
