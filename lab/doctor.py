"""What works here and what does not; and every knob of the buffers, with what it belongs to and who may write it.

Each check does what it reports on, within a time limit. `lab run` needs only three of them: without namespaces, capture
or Docker it plays on loopback, and names the witness that is missing.
"""

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from lab.errors import LabError
from lab.kernel import self_test
from lab.kernel.place import host_settings, sysctl
from lab.kernel.place.journal import OutOfReachError
from lab.kernel.place.netns import Namespace
from lab.kernel.self_test import SelfTestResult
from lab.syscalls import BY_NUMBER
from lab.testbed import engine, services

LIMIT_S = 10.0
ROOM = 1 << 30
"""Bytes. A run directory has about 1 MB; with --capture full some 200 MB for each GiB of payload."""
NEEDED = ("python", "inet_diag", "waits")


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    ok: bool
    found: str
    remedy: str | None = None
    """What to do about it; None if the check passed."""


@dataclass(frozen=True, slots=True)
class Knob:
    name: str
    value: str | None
    lives: str
    """What it belongs to: `namespace`, `host` or `socket`."""
    writable: bool
    """Whether the lab may write it here; `net.core.*` only with --host-sysctl."""
    limits: str


@dataclass(frozen=True, slots=True)
class Findings:
    checks: tuple[Check, ...]
    knobs: tuple[Knob, ...]

    @property
    def may_run(self) -> bool:
        """Whether `lab run` works on one testbed at least."""
        return all(check.ok for check in self.checks if check.name in NEEDED)


CheckAnswer = tuple[str, str | None]
"""What was found, and what to do about it; None if the check passed."""


def examine(net: str, runs: Path) -> Findings:
    """Do every check, which takes about two seconds. Never raises."""
    tried = self_test.run_needs()
    late = SelfTestResult(False, f"no answer within {self_test.LIMIT_S:g} s")
    facts: list[tuple[str, Callable[[], CheckAnswer]]] = [("python", _python), ("kernel", _kernel)]
    for name, remedy in _REMEDIES.items():
        facts.append((name, _told(tried.get(name, late), remedy)))
    facts += [
        ("yama", _yama),
        ("net.core", _core),
        ("host settings", _settings),
        ("ipv6", _ipv6),
        ("engine", _engine),
        ("compose", _compose),
        ("images", _images),
        ("subnet", lambda: _subnet(net)),
        ("runs", lambda: _runs(runs)),
        ("tshark", _tshark),
    ]
    return Findings(tuple(_check(*fact) for fact in facts), tuple(_knobs(tried.get("sysctls", late).works)))


_REMEDIES = {
    "namespaces": "run as root; `lab run` plays on loopback meanwhile",
    "sysctls": "set buffers by --so-rcvbuf and --so-sndbuf",
    "capture": "run as root, or give CAP_NET_RAW; until then the wire is no witness",
    "inet_diag": "needs Linux with CONFIG_INET_DIAG and CONFIG_INET_TCP_DIAG: no sandbox such as gVisor",
    "rcv_wnd": "Linux 6.2 or newer tells the receive window; until then the wire alone shows it",
    "waits": "needs /proc/PID/syscall of own children: no hidepid, no kernel.yama.ptrace_scope=3",
}


def _check(name: str, ask: Callable[[], CheckAnswer]) -> Check:
    try:
        found, remedy = ask()
    except LabError as error:
        # An error of the lab says what is wrong, and after a colon what to do.
        found, _, remedy = str(error).partition(": ")
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        found, remedy = " ".join(str(error).split()), "a defect of this check, if the lab runs all the same"
    return Check(name, remedy is None, found, remedy)


def _told(tried: SelfTestResult, remedy: str) -> Callable[[], CheckAnswer]:
    return lambda: (tried.found, None if tried.works else remedy)


def _python() -> CheckAnswer:
    version = platform.python_version()
    return version, None if sys.version_info >= (3, 11) else "needs Python 3.11 or newer"


def _kernel() -> CheckAnswer:
    found = f"Linux {platform.release()} on {platform.machine()}"
    known = platform.machine() in BY_NUMBER
    return found, None if known else f"only {', '.join(BY_NUMBER)} have names for their system calls here"


def _yama() -> CheckAnswer:
    try:
        scope = Path("/proc/sys/kernel/yama/ptrace_scope").read_text().strip()
    except FileNotFoundError:
        return "absent: no limit", None
    meaning = {"0": "no limit", "1": "own children only, which do here", "2": "root only", "3": "nobody"}
    remedy = None if scope in "01" or (scope == "2" and os.geteuid() == 0) else "run as root, or write 1 to it as root"
    return f"kernel.yama.ptrace_scope {scope}: {meaning.get(scope, 'unknown')}", remedy


def _core() -> CheckAnswer:
    values = " ".join(f"{key} {value}" for key, value in sysctl.read_core().items())
    who = "root here may write them" if _may_write_core() else "only root in the host's own namespace may write them"
    return f"{values or 'not shown in this namespace'}; of the whole host, {who}", None


def _may_write_core() -> bool:
    return os.access(sysctl.root() / "net/core/rmem_max", os.W_OK)


def _settings() -> CheckAnswer:
    """Whether the settings of the whole host are as they were before any lab."""
    try:
        found = host_settings.pending()
    except OutOfReachError as error:
        return str(error), None
    if found is None:
        return "as they are without the lab", None
    if not found.of_this_boot:
        return "a killed lab's journal from before the last start of this machine: nothing to undo", None
    changes = host_settings.in_words(found.journal.changes)
    if found.lives:
        return f"the lab of process {found.journal.pid}, which puts them back, has {changes}", None
    return f"a lab that was killed has left {changes}", "`lab restore` as root puts them back"


def _ipv6() -> CheckAnswer:
    try:
        addresses = Path("/proc/net/if_inet6").read_text().count("\n")
    except FileNotFoundError:
        return "this kernel has none", "--ip 4 needs none; scripts/setup leaves it out of compose.yaml"
    return f"{addresses} addresses on this host", None


def _engine() -> CheckAnswer:
    with engine.reached() as client:
        version = client.version()
        return f"Docker {version['Version']}, API {version['ApiVersion']}", None


def _compose() -> CheckAnswer:
    words = services.command()
    return f"{' '.join(words)} {services.version(words)}", None


def _images() -> CheckAnswer:
    with engine.reached():
        pass  # without an engine nothing is known of images
    on = f"BASE_IMAGE is {services.base_image()}"
    if services.images_are_current():
        return f"up to date; {on}", None
    return f"missing, or older than the code; {on}", "made when needed, or now by scripts/images; no registry is needed"


def _subnet(net: str) -> CheckAnswer:
    wanted = IPv4Network(f"{net}.0/24")
    taken = [f"{there} by {interface}" for interface, there in _routes() if there.overlaps(wanted)]
    if taken:
        return f"{net}.0/24 is in use: {', '.join(taken)}", "set LAB_NET to another for --testbed compose"
    return f"{net}.0/24 is free", None


def _routes() -> Iterator[tuple[str, IPv4Network]]:
    """Interface and destination of every route but the default one (proc_pid_net(5): numbers in host byte order)."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        interface, destination, _, _, _, _, _, mask, *_ = line.split()
        address, bits = (int.from_bytes(bytes.fromhex(each), sys.byteorder) for each in (destination, mask))
        if bits:
            yield interface, IPv4Network(f"{IPv4Address(address)}/{IPv4Address(bits)}")


def _runs(runs: Path) -> CheckAnswer:
    there = next(each for each in (runs, *runs.parents) if each.exists())
    free = shutil.disk_usage(there).free
    found = f"{runs}: {free / (1 << 30):.1f} GiB free"
    if not os.access(there, os.W_OK):
        return f"{runs}: not writable", "give another folder with --runs or LAB_RUNS"
    return found, None if free >= ROOM else "make room, or give another folder with --runs or LAB_RUNS"


def _tshark() -> CheckAnswer:
    if shutil.which("tshark") is None:
        return "absent", "only the tests need it: apt-get install tshark"
    said = subprocess.run(["tshark", "--version"], capture_output=True, text=True, timeout=LIMIT_S, check=False).stdout
    return said.split("\n", 1)[0].rstrip("."), None


def _knobs(private: bool) -> Iterator[Knob]:
    """`private`: whether the lab can make namespaces and write their sysctls."""
    here = sysctl.read(Namespace.here(), _OF_A_NAMESPACE)
    for name, limits in _OF_A_NAMESPACE.items():
        yield Knob(f"net.ipv4.{name}", here.get(name), "namespace", private and name in here, limits)
    core = sysctl.read_core()
    for name, limits in _OF_THE_HOST.items():
        yield Knob(f"net.core.{name}", core.get(name), "host", _may_write_core(), limits)
    with socket.socket() as unconnected:
        for name, limits in _OF_A_SOCKET.items():
            level = socket.SOL_SOCKET if name.startswith("SO_") else socket.IPPROTO_TCP
            value = str(unconnected.getsockopt(level, getattr(socket, name)))
            yield Knob(name, value, "socket", True, limits)


_OF_A_NAMESPACE = {
    "tcp_rmem": "receive buffer, least, first, most of autotuning; SO_RCVBUF ignores it",
    "tcp_wmem": "send buffer, least, first, most of autotuning; SO_SNDBUF ignores it",
    "tcp_moderate_rcvbuf": "1: the receive buffer grows up to tcp_rmem's third number; 0: it stays",
    "tcp_shrink_window": "1: an advertised window may be taken back when memory is short",
    "tcp_window_scaling": "0: no window above 65535 bytes",
    "tcp_adv_win_scale": "share of the buffer that is window, until the first segments tell",
    "tcp_notsent_lowat": "unsent bytes above which poll says not writable; a blocked send waits for it too",
}
_OF_THE_HOST = {
    "rmem_max": "what SO_RCVBUF may ask for (the kernel doubles it), and the window scale; not autotuning",
    "wmem_max": "what SO_SNDBUF may ask for (the kernel doubles it); not autotuning",
    "rmem_default": "receive buffers of all but TCP",
    "wmem_default": "send buffers of all but TCP",
}
_OF_A_SOCKET = {
    "SO_RCVBUF": "its receive buffer, fixed from then on; doubled, at least 2304",
    "SO_SNDBUF": "its send buffer, fixed from then on; doubled, at least 4608",
    "TCP_WINDOW_CLAMP": "the window that it advertises at most",
    "TCP_NOTSENT_LOWAT": "as tcp_notsent_lowat, for itself",
}
