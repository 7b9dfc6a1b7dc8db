"""The host as a lab finds it, and must leave it: sets of short lines by kind, so that two of them can be subtracted.

`Scope` says what is looked at. If the campaign is alone on the machine, that is everything. If others play labs too, it
is what can be recognised as the campaign's own: processes by their mark, namespaces by those processes, links,
addresses, routes, rules, containers and networks by the campaign's LAB_NET, files and mounts by the folders given to
its runs, sysctls by the values that only its runs write.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.kernel.procfs import argv
from tests.campaign.flat import namespaces_of
from tests.campaign.mark import marked

Fingerprint = Mapping[str, frozenset[str]]
"""By kind: processes, namespaces, links, addresses, routes, rules, containers, networks, volumes, sysctls, ..."""

NET_LABEL = "org.zero-window-lab.net"
FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/var/lib/zero-window-lab")
TUNED = "4097 8193 8193"
"""What the campaign's runs, and nobody else, write into their own namespaces. On the host it would be theirs too."""

PATIENCE_S = 10.0
"""The kernel removes a namespace some time after its last user has closed it. What lasts longer than this stays."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What belongs to the campaign: one LAB_NET, and the folders that its labs are given."""

    net: str
    folders: tuple[Path, ...]
    """Where its labs put temporary files, and the projects that they are started from."""
    alone: bool
    """Whether nobody else plays labs here: then every difference is ours."""
    docker: bool = True

    def look(self) -> Fingerprint:
        looks: dict[str, Callable[[Scope], Iterable[str]]] = {
            "processes": _processes,
            "namespaces": _namespaces,
            "links": _links,
            "addresses": _addresses,
            "routes": _routes,
            "rules": _rules,
            "sysctls": _sysctls,
            "mounts": _mounts,
            "files": _files,
            "abstract sockets": _abstract_sockets,
        }
        if self.docker:
            looks |= {"containers": _containers, "networks": _networks, "volumes": _volumes}
        return {kind: frozenset(look(self)) for kind, look in looks.items()}

    def is_ours(self, text: str) -> bool:
        return self.alone or self.net in text or self.net.replace(".", "-") in text


def differences(scope: Scope, before: Fingerprint, patience_s: float = PATIENCE_S) -> tuple[str, ...]:
    """What is new (+) or missing (-), and stays so."""
    deadline = time.monotonic() + patience_s
    while (found := tuple(_compared(before, scope.look()))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _compared(before: Fingerprint, after: Fingerprint) -> Iterator[str]:
    for kind, then in before.items():
        yield from (f"{kind}: + {line}" for line in sorted(after[kind] - then))
        yield from (f"{kind}: - {line}" for line in sorted(then - after[kind]))


def _processes(scope: Scope) -> Iterator[str]:
    known = set(marked())
    for pid in known | (_endpoints() if scope.alone else set()):
        yield f"{pid} {' '.join(argv(pid)) or '(zombie)'}"


def _endpoints() -> set[int]:
    pids = (int(folder) for folder in os.listdir("/proc") if folder.isdecimal())
    return {pid for pid in pids if "lab.endpoint" in argv(pid)}


def _namespaces(scope: Scope) -> Iterator[str]:
    pids = [int(folder) for folder in os.listdir("/proc") if folder.isdecimal()] if scope.alone else list(marked())
    for pid in (os.getpid(), *pids):
        yield from namespaces_of(pid)


def _ip(*words: str) -> list[str]:
    """Lines of iproute2, one object each."""
    done = subprocess.run(["ip", "-oneline", *words], capture_output=True, text=True, check=True, timeout=20)
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def _links(scope: Scope) -> Iterator[str]:
    for line in _ip("link", "show"):
        _, name, rest = line.split(" ", 2)
        if scope.is_ours(f"{name} {rest}"):  # the line of a container's link names its bridge: master br-...
            yield f"{name} {rest.split('>')[0]}>" + (f" {rest}" if scope.alone else "")


def _addresses(scope: Scope) -> Iterator[str]:
    for family in ("-4", "-6"):
        for line in _ip(family, "address", "show"):
            if scope.is_ours(line):
                yield line.partition(" ")[2].partition(" valid_lft")[0].rstrip("\\ ")


def _routes(scope: Scope) -> Iterator[str]:
    for family in ("-4", "-6"):
        for line in _ip(family, "route", "show", "table", "all"):
            if scope.is_ours(line) and " expires " not in line:
                yield line


def _rules(scope: Scope) -> Iterator[str]:
    """The rules of netfilter that the engine writes for each network."""
    for command in ("iptables-save", "ip6tables-save"):
        if shutil.which(command):
            done = subprocess.run([command], capture_output=True, text=True, check=False, timeout=20)
            yield from (line for line in done.stdout.splitlines() if line.startswith("-A") and scope.is_ours(line))


def _sysctls(scope: Scope) -> Iterator[str]:
    """All of net.core, and the first level of net.ipv4: these are settings, not counters."""
    for folder in (Path("/proc/sys/net/core"), Path("/proc/sys/net/ipv4")):
        for path in folder.iterdir():
            if not path.is_file():
                continue
            with suppress(OSError):  # write-only, or for another kind of namespace
                value = " ".join(path.read_text().split())
                if scope.alone or value == TUNED:
                    yield f"{path.relative_to('/proc/sys')} = {value}"


def _mounts(scope: Scope) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        root, point, rest = line.split(" ", 5)[3:]
        if "/docker/" in point or not (scope.alone or any(f"{folder}/" in f"{point}/" for folder in scope.folders)):
            continue  # a container's root goes with the container
        yield f"{root} on {point} {rest.split(' - ')[-1]}"


def _files(scope: Scope) -> Iterator[str]:
    """The first level of folders that everybody may write to, and all files in the folders of our labs."""
    for name in FOLDERS if scope.alone else ():
        with suppress(FileNotFoundError):
            yield from (f"{name}/{each}" for each in os.listdir(name))
    for folder in scope.folders:
        yield from (str(path) for path in folder.rglob("*") if "__pycache__" not in path.parts)


def _abstract_sockets(scope: Scope) -> Iterator[str]:
    for line in Path("/proc/net/unix").read_text().splitlines():
        name = line.rpartition(" ")[2]
        if "@zero-window-lab" in name and scope.is_ours(name):
            yield name


def _docker(*words: str) -> list[str]:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def _containers(scope: Scope) -> Iterator[str]:
    shown = f'{{{{.ID}}}} {{{{.Names}}}} {{{{.State}}}} {{{{.Label "{NET_LABEL}"}}}}'
    yield from filter(scope.is_ours, _docker("ps", "--all", "--format", shown))


def _networks(scope: Scope) -> Iterator[str]:
    yield from filter(scope.is_ours, _docker("network", "ls", "--format", "{{.ID}} {{.Name}} {{.Driver}}"))


def _volumes(scope: Scope) -> Iterator[str]:
    yield from filter(scope.is_ours, _docker("volume", "ls", "--format", "{{.Name}} {{.Driver}}"))
