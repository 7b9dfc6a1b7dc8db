"""`lab forecast`: where the freeze must come for these settings, without a run."""

from typing import Any

import click

from lab.cli.options import Playing, RunOptions, format_flag, scenario_flags
from lab.evidence import Settings
from lab.spec import Pair, Role, Spec


@click.command("forecast", cls=Playing)
@scenario_flags
@format_flag
def command(*, form: str, **flags: Any) -> int:
    """Say at which byte SCENARIO (default: upper) must freeze, with these settings on this kernel."""
    from lab import forecast  # noqa: PLC0415
    from lab.kernel.place import sysctl  # noqa: PLC0415

    wish = RunOptions(**flags)
    spec = wish.spec(wish.testbed or "netns")
    core = sysctl.read_core() | {key: str(value) for key, value in spec.host_sysctls.items()}
    seen = forecast.forecast(spec, _settings(spec), core)
    may_be = forecast.expected(spec, seen)
    if form == "json":
        from lab.cli.output import document  # noqa: PLC0415

        bounds = {"client_accepted": seen.client_accepted, "server_processed": seen.server_processed}
        click.echo(document({"forecast": bounds, "reason": seen.reason}))
    else:
        from lab.report import forecast as report  # noqa: PLC0415

        report.show(spec, seen, may_be)
    return 0


def _settings(spec: Spec) -> Pair[Settings | None]:
    """What each side's namespace would read back. A new namespace starts with the host's tcp_rmem and tcp_wmem."""
    from lab.experiment import SETTINGS_KEYS  # noqa: PLC0415
    from lab.forecast import tuned  # noqa: PLC0415
    from lab.kernel.place import sysctl  # noqa: PLC0415
    from lab.kernel.place.netns import Namespace  # noqa: PLC0415

    host = sysctl.read(Namespace.here(), SETTINGS_KEYS)
    mtu = spec.mtu or (65536 if spec.testbed == "loopback" else 1500)
    return Pair(*(tuned(Settings(host, host, mtu), spec.buffers[role]) for role in Role))
