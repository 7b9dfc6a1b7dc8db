"""The flags that make a spec, and the spec that they make. Every command that takes a scenario shares them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import click

from lab.cli import values
from lab.cli.command import BUFFERS, CAPTURE, NETWORK, PLAYED, RESULT, Command, Decorated, flag
from lab.cli.values import Setting, Sided
from lab.errors import SpecError, unknown
from lab.scenario import DEFAULT, find
from lab.spec import (
    HOST_SYSCTLS,
    Buffers,
    CaptureMode,
    Limits,
    Pair,
    Role,
    Scenario,
    SocketOptions,
    Spec,
    Triple,
    Until,
)

T = TypeVar("T")


class Playing(Command):
    """A command whose flag `--nodelay` may stand without a value: in `lab run --nodelay upper` it means both sides."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        following = [*args[1:], ""]
        bare = [
            f"{each}=1" if each == "--nodelay" and _NO_VALUE.fullmatch(then) else each
            for each, then in zip(args, following, strict=False)
        ]
        return super().parse_args(ctx, bare)


_NO_VALUE = re.compile(r"|-.*|[A-Za-z][^=]*")
"""The end of the line, another flag, or the name of a scenario."""


def per_side(name: str, meaning: str, metavar: str, kind: click.ParamType) -> Callable[[Decorated], Decorated]:  # type: ignore[type-arg]
    """A flag for both sides, or for one: `client=V` or `server=V`."""
    sides = f"[client=|server=]{metavar}"
    return flag(name, group=BUFFERS, multiple=True, type=kind, metavar=sides, help=meaning)


def scenario_flags(command: Decorated) -> Decorated:
    """Add the flags for the scenario, the buffers and the sockets."""
    triple, size = "'MIN DEFAULT MAX'", "SIZE"
    for decorate in reversed(
        [
            click.argument("scenario", required=False, envvar="LAB_SCENARIO", default=DEFAULT, type=values.SCENARIO),
            flag("--testbed", group=PLAYED, type=values.TESTBED, metavar="NAME",
                 help="netns, compose or loopback; the best that works if not given"),
            flag("--remedy", group=PLAYED, type=values.REMEDY, metavar="NAME", help="what to cure the scenario with"),
            flag("--payload", group=PLAYED, type=values.SIZE, metavar="SIZE",
                 help="bytes that the client sends, for example 10MiB"),
            flag("--send-size", group=PLAYED, type=values.SIZE, metavar="SIZE",
                 help="bytes of one send() of the client"),
            flag("--recv-size", group=PLAYED, type=values.SIZE, metavar="SIZE",
                 help="bytes of one recv() of the client"),
            flag("--server-block", group=PLAYED, type=values.SIZE, metavar="SIZE",
                 help="bytes of one recv() of the server"),
            flag("--paced", group=PLAYED, type=values.DURATION, metavar="DURATION",
                 help="the client's pause after each send, for example 3ms"),
            per_side("--tcp-rmem", "net.ipv4.tcp_rmem, for example '4096 8192 8192'", triple, values.SIDED_TRIPLE),
            per_side("--tcp-wmem", "net.ipv4.tcp_wmem, for example '4096 8192 8192'", triple, values.SIDED_TRIPLE),
            per_side("--sysctl", "another net.ipv4.tcp_* key, for example tcp_sack=0", "KEY=VALUE",
                     values.SIDED_SETTING),
            per_side("--so-rcvbuf", "SO_RCVBUF, e.g. 64KiB; the kernel doubles it", size, values.SIDED_SIZE),
            per_side("--so-sndbuf", "SO_SNDBUF, for example 64KiB; the kernel doubles it", size, values.SIDED_SIZE),
            per_side("--nodelay", "TCP_NODELAY", "1", values.SIDED_SWITCH),
            per_side("--congestion", "TCP_CONGESTION, for example cubic", "NAME", values.SIDED_TEXT),
            host_sysctl_flag,
            flag("--ip", group=NETWORK, type=click.Choice(["4", "6"]), default="4", help="IP version"),
            flag("--port", group=NETWORK, type=int, metavar="PORT", help="where the server listens"),
            flag("--mtu", group=NETWORK, type=int, metavar="BYTES", help="of the link between the two"),
            net_flag,
        ]
    ):  # fmt: skip
        command = decorate(command)
    return command


def net_flag(command: Decorated) -> Decorated:
    meaning = "the lab's /24"
    return flag(
        "--net", group=NETWORK, metavar="A.B.C", default="198.18.20", show_default=True, help=meaning
    )(command)  # fmt: skip


def host_sysctl_flag(command: Decorated) -> Decorated:
    """Add --host-sysctl, for keys of the whole host: it has no sides, needs root, and puts the values back."""
    meaning = f"of the whole host, put back afterwards: net.core.rmem_max=131071; {', '.join([*HOST_SYSCTLS][1:])}"
    return flag(
        "--host-sysctl", group=BUFFERS, multiple=True, type=values.HOST_SETTING, metavar="KEY=VALUE", help=meaning
    )(command)  # fmt: skip


def host_sysctls(settings: Sequence[Setting]) -> dict[str, int]:
    """Bytes by key, without the `net.core.` in front. A later value wins."""
    return {each.key: int(each.value) for each in settings}


def run_flags(command: Decorated) -> Decorated:
    """Add the flags for one run that are not about its scenario."""
    for decorate in reversed(
        [
            flag("--capture", group=CAPTURE, type=click.Choice([each.value for each in CaptureMode]), default="proof",
                 show_default=True, help="proof: SYN, FIN, RST, zero windows and segments without payload; full: all"),
            flag("--snaplen", group=CAPTURE, type=int, default=128, show_default=True, metavar="BYTES",
                 help="kept of each frame"),
            flag("--capture-size", group=CAPTURE, type=values.SIZE, metavar="SIZE",
                 help="go on in another file at this size, for example 100MiB"),
            flag("--until", group=RESULT, type=values.UNTIL, default="probes", show_default=True,
                 metavar="proof|probes|SECONDS", help="stop at the verdict, at a probe of each side, or after SECONDS"),
        ]
    ):  # fmt: skip
        command = decorate(command)
    return command


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The flags of `scenario_flags` and `run_flags`, as click gives them."""

    scenario: str = DEFAULT
    testbed: str | None = None
    remedy: str | None = None
    payload: int | None = None
    tcp_rmem: Sequence[Sided[Triple]] = ()
    tcp_wmem: Sequence[Sided[Triple]] = ()
    sysctl: Sequence[Sided[Setting]] = ()
    so_rcvbuf: Sequence[Sided[int]] = ()
    so_sndbuf: Sequence[Sided[int]] = ()
    send_size: int | None = None
    recv_size: int | None = None
    server_block: int | None = None
    nodelay: Sequence[Sided[int]] = ()
    congestion: Sequence[Sided[str]] = ()
    paced: float | None = None
    ip: str = "4"
    port: int | None = None
    mtu: int | None = None
    net: str = "198.18.20"
    host_sysctl: Sequence[Setting] = ()
    capture: str = CaptureMode.PROOF
    snaplen: int = 128
    capture_size: int | None = None
    until: Until | float = Until.PROBES

    def spec(self, testbed: str) -> Spec:
        """The spec for this testbed. Raises SpecError with a good example."""
        scenario = self._scenario()
        loopback = testbed == "loopback"
        if loopback:
            self._refuse_on_loopback()
        buffers = [self._buffers(role, scenario, loopback) for role in Role]
        options = [self._options(role, scenario.loopback_options if loopback else SocketOptions()) for role in Role]
        spec = Spec(
            scenario=scenario,
            testbed=testbed,
            buffers=Pair(*buffers),
            options=Pair(*options),
            net=self.net,
            ip=int(self.ip),
            port=self.port,
            mtu=self.mtu,
            capture=CaptureMode(self.capture),
            snaplen=self.snaplen,
            capture_size=self.capture_size,
            until=self.until,
            limits=Limits(),
            host_sysctls=host_sysctls(self.host_sysctl),
        )
        return self._cured(spec) if self.remedy else spec

    def _cured(self, spec: Spec) -> Spec:
        from lab import remedy  # noqa: PLC0415 - a dozen modules, which only this flag needs

        cured = remedy.find(self.remedy or "").to(spec)
        if self.payload is not None or cured.scenario.freezes:
            return cured
        load = replace(cured.scenario.load, payload=min(cured.scenario.load.payload, remedy.PAYLOAD))
        return replace(cured, scenario=replace(cured.scenario, load=load))

    def _scenario(self) -> Scenario:
        scenario = find(self.scenario)
        sizes = {
            "payload": self.payload,
            "send_size": self.send_size,
            "recv_size": self.recv_size,
            "server_block": self.server_block,
        }
        changes: dict[str, Any] = {key: size for key, size in sizes.items() if size is not None}
        if self.paced is not None:
            changes["paced_s"] = self.paced
        return replace(scenario, load=replace(scenario.load, **changes))

    def _refuse_on_loopback(self) -> None:
        for name, value in (("--tcp-rmem", self.tcp_rmem), ("--tcp-wmem", self.tcp_wmem), ("--sysctl", self.sysctl)):
            if value:
                raise SpecError(
                    f"{name}: on loopback both programs share the host's sysctls, which are not touched; "
                    "use --so-rcvbuf and --so-sndbuf, or --testbed netns"
                )
        if self.mtu:
            raise SpecError("--mtu: loopback's is the host's, which is not touched; use --testbed netns")

    def _buffers(self, role: Role, scenario: Scenario, loopback: bool) -> Buffers:
        if loopback:
            return Buffers()
        return Buffers(
            tcp_rmem=_side(self.tcp_rmem, role) or scenario.buffers.tcp_rmem,
            tcp_wmem=_side(self.tcp_wmem, role) or scenario.buffers.tcp_wmem,
            other=dict(scenario.buffers.other) | _sysctls(self.sysctl, role),
        )

    def _options(self, role: Role, standing_in: SocketOptions) -> SocketOptions:
        rcvbuf, sndbuf = _side(self.so_rcvbuf, role), _side(self.so_sndbuf, role)
        return SocketOptions(
            so_rcvbuf=standing_in.so_rcvbuf if rcvbuf is None else rcvbuf,
            so_sndbuf=standing_in.so_sndbuf if sndbuf is None else sndbuf,
            nodelay=_side(self.nodelay, role) == 1,
            congestion=_side(self.congestion, role),
        )


def _side(given: Sequence[Sided[T]], role: Role) -> T | None:
    """The last value for this side."""
    meant = [each.value for each in given if each.is_for(role)]
    return meant[-1] if meant else None


def _sysctls(given: Sequence[Sided[Setting]], role: Role) -> dict[str, str]:
    return {each.value.key: each.value.value for each in given if each.is_for(role)}


@cache
def flags() -> Mapping[str, click.Parameter]:
    """The flags that make a spec, by their names in `RunOptions`: all but --testbed."""

    @click.command()
    @scenario_flags
    @run_flags
    def command() -> None:
        """Only its flags are used."""

    return {each.name: each for each in command.params if each.name and each.name != "testbed"}


def specify(texts: Mapping[str, str], testbed: str = "netns") -> Spec:
    """The spec that `lab run` makes of these flags, given by name; the values of a repeated flag are joined by `;`.

    The environment has no say in it. Raises SpecError.
    """
    context = click.Context(click.Command("run"))
    given: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in flags():
            raise unknown("option", name, sorted(flags()))
        parameter = flags()[name]
        value = text.split(";") if parameter.multiple else text
        try:
            given[name] = parameter.type_cast_value(context, value)
        except click.BadParameter as error:
            raise SpecError(error.message) from None
    return RunOptions(**given).spec(testbed)


def format_flag(command: Decorated) -> Decorated:
    return _format("text", "json")(command)


def table_format_flag(command: Decorated) -> Decorated:
    return _format("text", "json", "markdown")(command)


def _format(*forms: str) -> Callable[[Decorated], Decorated]:
    choice = click.Choice(forms)
    return flag(
        "--format", "form", group=RESULT, type=choice, default="text", show_default=True, help="of the output"
    )  # fmt: skip


def runs_flag(command: Decorated) -> Decorated:
    folder = click.Path(path_type=Path)
    return flag("--runs", group=RESULT, type=folder, metavar="DIR", help="where run directories lie")(command)
