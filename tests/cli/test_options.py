"""Flags and environment variables make the spec that they say, for both sides or for one."""

from pathlib import Path

import click
import pytest

from lab.cli import COMMANDS, app
from lab.cli.options import Playing, RunOptions, run_flags, scenario_flags
from lab.spec import CaptureMode, Role, Spec, Triple, Until


def spec(*arguments: str, testbed: str = "netns", **environment: str) -> Spec:
    """What the command line makes of these arguments and these variables."""
    made: list[Spec] = []

    @click.command(cls=Playing)
    @scenario_flags
    @run_flags
    def command(**flags: object) -> None:
        made.append(RunOptions(**flags).spec(testbed))  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        command.main(list(arguments), standalone_mode=False)
    return made[0]


def test_without_an_option_it_is_the_published_play() -> None:
    made = spec()
    assert (made.scenario.name, made.scenario.load.payload, made.ip, made.port) == ("upper", 1 << 30, 4, None)
    assert (made.net, made.capture, made.snaplen, made.until) == ("198.18.20", CaptureMode.PROOF, 128, Until.PROBES)
    assert made == RunOptions().spec("netns"), "the values of `RunOptions` are those of the command line"


def test_every_size_reaches_the_load() -> None:
    load = spec(
        "--payload", "10MiB", "--send-size", "2k", "--recv-size", "7", "--server-block", "1m", "--paced", "3ms"
    ).scenario.load
    assert (load.payload, load.send_size, load.recv_size, load.server_block) == (10 << 20, 2048, 7, 1 << 20)
    assert load.paced_s == pytest.approx(0.003)


def test_a_payload_of_upper_is_rounded_up_to_whole_messages() -> None:
    assert spec("--payload", "100", "--send-size", "64").scenario.load.payload == 128
    assert spec("echo", "--payload", "100", "--send-size", "64").scenario.load.payload == 100


def test_a_plain_value_means_both_sides_and_a_later_one_wins() -> None:
    made = spec(
        "--tcp-rmem", "1 2 3", "--tcp-rmem", "server=4 5 6", "--tcp-wmem", "client=7 8 9", "--so-rcvbuf", "server=4k"
    )
    assert [made.buffers[role].tcp_rmem for role in Role] == [Triple(1, 2, 3), Triple(4, 5, 6)]
    assert [made.buffers[role].tcp_wmem for role in Role] == [Triple(7, 8, 9), None]
    assert [made.options[role].so_rcvbuf for role in Role] == [None, 4096]
    assert spec("--so-sndbuf", "client=1k", "--so-sndbuf", "2k").options.client.so_sndbuf == 2048


def test_sysctls_add_up_and_may_be_written_in_full() -> None:
    made = spec("--sysctl", "net.ipv4.tcp_sack=0", "--sysctl", "server=tcp_rmem = 1  2 3", "--sysctl", "tcp_sack=1")
    assert made.buffers.client.other == {"tcp_sack": "1"}
    assert made.buffers.server.other == {"tcp_sack": "1", "tcp_rmem": "1 2 3"}


@pytest.mark.parametrize(
    ("arguments", "nodelay"),
    [
        (["--nodelay"], [True, True]),
        (["--nodelay", "upper"], [True, True]),
        (["upper", "--nodelay"], [True, True]),
        (["--nodelay", "--ip", "6"], [True, True]),
        (["--nodelay", "1"], [True, True]),
        (["--nodelay=1"], [True, True]),
        (["--nodelay", "client=1"], [True, False]),
        (["--nodelay", "--nodelay", "server=0"], [True, False]),
        (["--nodelay", "0"], [False, False]),
        ([], [False, False]),
    ],
)
def test_nodelay_is_used_bare_as_well(arguments: list[str], nodelay: list[bool]) -> None:
    made = spec(*arguments)
    assert [made.options[role].nodelay for role in Role] == nodelay
    assert made.scenario.name == "upper"


def test_every_flag_has_a_variable_and_parts_are_joined_by_semicolons() -> None:
    made = spec(
        LAB_SCENARIO="echo",
        LAB_PAYLOAD="1m",
        LAB_TCP_RMEM="client=1 2 3;server=4 5 6",
        LAB_SO_SNDBUF="8k",
        LAB_SYSCTL="tcp_sack=0;tcp_timestamps=0",
        LAB_NODELAY="client=1",
        LAB_IP="6",
        LAB_PORT="7",
        LAB_MTU="9000",
        LAB_NET="10.1.2",
        LAB_CAPTURE="full",
        LAB_SNAPLEN="200",
        LAB_UNTIL="2.5",
        LAB_PACED="1ms",
        LAB_CONGESTION="server=reno",
    )
    assert (made.scenario.name, made.scenario.load.payload) == ("echo", 1 << 20)
    assert [made.buffers[role].tcp_rmem for role in Role] == [Triple(1, 2, 3), Triple(4, 5, 6)]
    assert [made.options[role].so_sndbuf for role in Role] == [8192, 8192]
    assert made.buffers.server.other == {"tcp_sack": "0", "tcp_timestamps": "0"}
    assert [made.options[role].nodelay for role in Role] == [True, False]
    assert [made.options[role].congestion for role in Role] == [None, "reno"]
    assert (made.ip, made.port, made.mtu, made.net) == (6, 7, 9000, "10.1.2")
    assert (made.capture, made.snaplen, made.until) == (CaptureMode.FULL, 200, 2.5)


def test_an_empty_variable_counts_as_unset() -> None:
    """compose.yaml passes every one of them on, set or not."""
    names = [parameter.envvar for parameter in command_parameters()]
    assert len(names) > 20
    assert spec(**{str(name): "" for name in names}) == spec()


def command_parameters() -> list[click.Parameter]:
    @click.command()
    @scenario_flags
    @run_flags
    def command() -> None:
        """Nothing."""

    return command.params


def test_every_flag_says_what_it_is_for_and_has_its_variable() -> None:
    for parameter in command_parameters():
        assert isinstance(parameter.envvar, str)
        assert parameter.envvar.startswith("LAB_")
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert parameter.envvar == "LAB_" + parameter.opts[0].lstrip("-").upper().replace("-", "_")


@pytest.mark.parametrize("room", COMMANDS)
def test_every_flag_of_every_command_has_its_variable(room: str) -> None:
    command = app.get_command(click.Context(app), room)
    assert command is not None
    shared = {each.name for each in command_parameters()} | {"form", "runs", "hold", "expect"}
    for option in (each for each in command.params if isinstance(each, click.Option)):
        of_the_command = "" if option.name in shared else f"{room.upper()}_"
        assert option.envvar == f"LAB_{of_the_command}" + option.opts[0].lstrip("-").upper().replace("-", "_")
        if option.multiple:
            assert option.type.split_envvar_value("1;2") == ["1", "2"]


def test_compose_passes_every_variable_on() -> None:
    text = (Path(__file__).parents[2] / "compose.yaml").read_text()
    missing = [str(parameter.envvar) for parameter in command_parameters() if str(parameter.envvar) not in text]
    assert not [name for name in missing if name != "LAB_TESTBED"]


def test_a_flag_beats_its_variable() -> None:
    assert spec("--port", "8", LAB_PORT="7").port == 8


@pytest.mark.parametrize(
    ("text", "until"), [("proof", Until.PROOF), ("probes", Until.PROBES), ("2", 2.0), ("500ms", 0.5)]
)
def test_until(text: str, until: Until | float) -> None:
    assert spec("--until", text).until == until


def test_echo_brings_its_buffers_unless_told_otherwise() -> None:
    made = spec("echo", "--tcp-wmem", "1 2 3")
    assert str(made.buffers.client.tcp_rmem) == "4096 87380 4161536"
    assert str(made.buffers.client.tcp_wmem) == "1 2 3"


def test_on_loopback_socket_options_stand_in_for_its_sysctls() -> None:
    made = spec("echo", testbed="loopback")
    assert made.buffers.client.tcp_rmem is None
    assert (made.options.server.so_rcvbuf, made.options.server.so_sndbuf) == (43690, 8192)
    assert spec("echo", "--so-rcvbuf", "1k", testbed="loopback").options.server.so_rcvbuf == 1024
    assert spec("echo").options.server.so_rcvbuf is None


def test_the_hosts_own_sysctls_add_up_a_later_value_wins_and_none_is_changed_unasked() -> None:
    assert spec().host_sysctls == {}
    made = spec("--host-sysctl", "net.core.rmem_max=128KiB", "--host-sysctl", "rmem_max=131071", LAB_HOST_SYSCTL="x=1")
    assert made.host_sysctls == {"rmem_max": 131071}
    joined = spec(LAB_HOST_SYSCTL="net.core.rmem_max=131071;net.core.wmem_default=4608")
    assert joined.host_sysctls == {"rmem_max": 131071, "wmem_default": 4608}


@pytest.mark.parametrize(
    "text", ["rmem_max", "rmem_max=", "rmem_max=2303", "wmem_max=4607", "rmem_max=2g", "tcp_mem=1"]
)
def test_an_impossible_setting_of_the_host_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"for example (net.core.rmem_max=)?131071"):
        spec("--host-sysctl", text)
