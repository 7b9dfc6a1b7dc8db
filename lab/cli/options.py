"""The flags that make a spec, and the spec that they make. Every command that takes a scenario shares them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import click

from lab.errors import SpecError
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
    parse_duration,
    parse_size,
    refuse_impossible,
)

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])


class Playing(click.Command):
    """A command whose flag `--nodelay` may stand without a value: in `lab run --nodelay upper` it means both sides."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        following = [*args[1:], ""]
        bare = [
            f"{each}=1" if each == "--nodelay" and not _NODELAY_VALUE.fullmatch(then) else each
            for each, then in zip(args, following, strict=False)
        ]
        return super().parse_args(ctx, bare)


_NODELAY_VALUE = re.compile(r"[01]|(client|server)=.*")


class Repeated(click.ParamType):  # type: ignore[type-arg]  # a generic class for the type checker alone
    """A value that may be given several times, such as once a side. An environment variable joins the values by `;`."""

    name = "value"
    envvar_list_splitter = ";"


class RepeatedNumber(click.IntRange):
    """A number that may be given several times, likewise."""

    envvar_list_splitter = ";"


def flag(name: str, *names: str, **attributes: Any) -> Callable[[Command], Command]:
    """A flag and its environment variable, LAB_NAME."""
    variable = "LAB_" + name.lstrip("-").upper().replace("-", "_")
    return click.option(name, *names, envvar=variable, show_envvar=True, **attributes)


def per_side(name: str, meaning: str, metavar: str, **attributes: Any) -> Callable[[Command], Command]:
    """A flag for both sides, or for one: `client=V` or `server=V`."""
    sides = f"[client=|server=]{metavar}"
    return flag(name, multiple=True, type=Repeated(), metavar=sides, help=meaning, **attributes)


def scenario_flags(command: Command) -> Command:
    """Add the flags for the scenario, the buffers and the sockets."""
    for decorate in reversed(
        [
            click.argument("scenario", required=False, envvar="LAB_SCENARIO", default=DEFAULT),
            flag("--testbed", metavar="NAME", help="netns, compose or loopback; the best that works if not given"),
            flag("--remedy", metavar="NAME", help="what to cure the scenario with"),
            flag("--payload", metavar="SIZE", help="bytes that the client sends, for example 10MiB"),
            per_side("--tcp-rmem", "net.ipv4.tcp_rmem, for example '4096 8192 8192'", "'LEAST DEFAULT MOST'"),
            per_side("--tcp-wmem", "net.ipv4.tcp_wmem, for example '4096 8192 8192'", "'LEAST DEFAULT MOST'"),
            per_side("--sysctl", "another net.ipv4.tcp_* key, for example tcp_sack=0", "KEY=VALUE"),
            per_side("--so-rcvbuf", "SO_RCVBUF, e.g. 64KiB; the kernel doubles it", "SIZE"),
            per_side("--so-sndbuf", "SO_SNDBUF, for example 64KiB; the kernel doubles it", "SIZE"),
            flag("--send-size", metavar="SIZE", help="bytes of one send() of the client"),
            flag("--recv-size", metavar="SIZE", help="bytes of one recv() of the client"),
            flag("--server-block", metavar="SIZE", help="bytes of one recv() of the server"),
            per_side("--nodelay", "TCP_NODELAY", "1"),
            per_side("--congestion", "TCP_CONGESTION, for example cubic", "NAME"),
            flag("--paced", metavar="DURATION", help="the client's pause after each send, for example 3ms"),
            flag("--ip", type=click.Choice(["4", "6"]), default="4", help="IP version"),
            flag("--port", type=int, metavar="PORT", help="where the server listens"),
            flag("--mtu", type=int, metavar="BYTES", help="of the link between the two"),
            flag("--net", metavar="A.B.C", default="198.18.20", show_default=True, help="the lab's /24"),
            host_sysctl_flag,
        ]
    ):
        command = decorate(command)
    return command


def host_sysctl_flag(command: Command) -> Command:
    """Add --host-sysctl, for keys of the whole host: it has no sides, needs root, and puts the values back."""
    meaning = f"of the whole host, put back afterwards: net.core.rmem_max=131071; {', '.join([*HOST_SYSCTLS][1:])}"
    return flag("--host-sysctl", multiple=True, type=Repeated(), metavar="KEY=VALUE", help=meaning)(command)


def host_sysctls(values: Sequence[str]) -> dict[str, int]:
    """Bytes by key, without the `net.core.` in front. A later value wins."""
    found = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not value.strip():
            raise SpecError(f"--host-sysctl '{text[:80]}': needs KEY=VALUE, for example net.core.rmem_max=131071")
        found[key.strip().removeprefix("net.core.")] = parse_size(value)
    refuse_impossible(found)
    return found


def run_flags(command: Command) -> Command:
    """Add the flags for one run that are not about its scenario."""
    for decorate in reversed(
        [
            flag("--capture", type=click.Choice([each.value for each in CaptureMode]), default="proof",
                 show_default=True, help="proof: SYN, FIN, RST, zero windows and segments without payload; full: all"),
            flag("--snaplen", type=int, default=128, show_default=True, metavar="BYTES", help="kept of each frame"),
            flag("--capture-size", metavar="SIZE", help="go on in another file at this size, for example 100MiB"),
            flag("--until", default="probes", show_default=True, metavar="proof|probes|SECONDS",
                 help="stop at the verdict, at a probe of each side, or after SECONDS"),
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
    payload: str | None = None
    tcp_rmem: Sequence[str] = ()
    tcp_wmem: Sequence[str] = ()
    sysctl: Sequence[str] = ()
    so_rcvbuf: Sequence[str] = ()
    so_sndbuf: Sequence[str] = ()
    send_size: str | None = None
    recv_size: str | None = None
    server_block: str | None = None
    nodelay: Sequence[str] = ()
    congestion: Sequence[str] = ()
    paced: str | None = None
    ip: str = "4"
    port: int | None = None
    mtu: int | None = None
    net: str = "198.18.20"
    host_sysctl: Sequence[str] = ()
    capture: str = CaptureMode.PROOF
    snaplen: int = 128
    capture_size: str | None = None
    until: str = Until.PROBES

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
            capture_size=parse_size(self.capture_size) if self.capture_size else None,
            until=_until(self.until),
            limits=Limits(),
            host_sysctls=host_sysctls(self.host_sysctl),
        )
        return self._cured(spec) if self.remedy else spec

    def _cured(self, spec: Spec) -> Spec:
        from lab import remedy  # noqa: PLC0415 - a dozen modules, which only this flag needs

        cured = remedy.find(self.remedy or "").to(spec)
        if self.payload or cured.scenario.freezes:
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
        changes: dict[str, Any] = {key: parse_size(text) for key, text in sizes.items() if text}
        if self.paced:
            changes["paced_s"] = parse_duration(self.paced)
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
        rmem, wmem = _side(self.tcp_rmem, role), _side(self.tcp_wmem, role)
        return Buffers(
            tcp_rmem=Triple.parse(rmem) if rmem else scenario.buffers.tcp_rmem,
            tcp_wmem=Triple.parse(wmem) if wmem else scenario.buffers.tcp_wmem,
            other=dict(scenario.buffers.other) | _sysctls(self.sysctl, role),
        )

    def _options(self, role: Role, standing_in: SocketOptions) -> SocketOptions:
        rcvbuf, sndbuf = _side(self.so_rcvbuf, role), _side(self.so_sndbuf, role)
        return SocketOptions(
            so_rcvbuf=parse_size(rcvbuf) if rcvbuf else standing_in.so_rcvbuf,
            so_sndbuf=parse_size(sndbuf) if sndbuf else standing_in.so_sndbuf,
            nodelay=_yes(_side(self.nodelay, role)),
            congestion=_side(self.congestion, role),
        )


def _sides(value: str) -> tuple[tuple[Role, ...], str]:
    """`client=V`, `server=V`, or plain V, which means both."""
    name, found, rest = value.partition("=")
    if found and name in tuple(Role):
        return (Role(name),), rest.strip()
    return tuple(Role), value.strip()


def _side(values: Sequence[str], role: Role) -> str | None:
    """The last value for this side."""
    meant = [text for roles, text in map(_sides, values) if role in roles]
    return meant[-1] if meant else None


def _sysctls(values: Sequence[str], role: Role) -> dict[str, str]:
    found = {}
    for roles, text in map(_sides, values):
        key, equals, value = text.partition("=")
        if not equals or not value.strip():
            raise SpecError(f"--sysctl '{text}': needs KEY=VALUE, for example tcp_sack=0")
        if role in roles:
            found[key.strip().removeprefix("net.ipv4.")] = " ".join(value.split())
    return found


def _yes(text: str | None) -> bool:
    if text not in (None, "0", "1"):
        raise SpecError(f"--nodelay '{text}': needs 1 or 0, or one side's, for example client=1")
    return text == "1"


def _until(text: str) -> Until | float:
    if text in tuple(Until):
        return Until(text)
    try:
        return parse_duration(text)
    except SpecError:
        raise SpecError(f"--until '{text}': needs proof, probes, or seconds, for example 5") from None


@cache
def flags() -> Mapping[str, click.Parameter]:
    """The flags that make a spec, by their names in `RunOptions`: all but --testbed."""

    @click.command()
    @scenario_flags
    @run_flags
    def command() -> None:
        """Only its flags are used."""

    return {each.name: each for each in command.params if each.name and each.name != "testbed"}


def specify(values: Mapping[str, str], testbed: str = "netns") -> Spec:
    """The spec that `lab run` makes of these flags, given by name; the values of a repeated flag are joined by `;`.

    The environment has no say in it. Raises SpecError.
    """
    context = click.Context(click.Command("run"))
    given: dict[str, Any] = {}
    for name, text in values.items():
        if name not in flags():
            raise SpecError(f"unknown option '{name[:80]}': there are {', '.join(sorted(flags()))}")
        parameter = flags()[name]
        value = text.split(";") if parameter.multiple else text
        try:
            given[name] = parameter.type_cast_value(context, value)
        except click.BadParameter as error:
            raise SpecError(error.message) from None
    return RunOptions(**given).spec(testbed)


def format_flag(command: Command) -> Command:
    choice = click.Choice(["text", "json"])
    return flag("--format", "form", type=choice, default="text", show_default=True, help="of the output")(command)


def table_format_flag(command: Command) -> Command:
    choice = click.Choice(["text", "json", "markdown"])
    return flag("--format", "form", type=choice, default="text", show_default=True, help="of the output")(command)
