"""`lab forecast`: where the freeze must come for these settings, without a run."""

from typing import Any

import click

from lab.cli.options import Playing, RunOptions, format_flag, scenario_flags


@click.command(
    "forecast",
    cls=Playing,
    short_help="Say at which byte a scenario must freeze.",
    examples=[
        ("lab forecast", "with this kernel's own buffers"),
        ("lab forecast echo --payload 64KiB", "whether that much can freeze at all"),
        ("lab forecast --tcp-rmem '4096 8192 8192' --tcp-wmem '4096 8192 8192'", "all four buffers fixed: a point"),
    ],
)
@scenario_flags
@format_flag
def command(*, form: str, **flags: Any) -> int:
    """Say at which byte SCENARIO (default: upper) must freeze, with these settings on this kernel."""
    from lab.forecast import expected  # noqa: PLC0415
    from lab.foretelling import foretell  # noqa: PLC0415

    options = RunOptions(**flags)
    spec = options.spec(options.testbed or "netns")
    foretold = foretell(spec)
    if form == "json":
        from lab.cli.output import document  # noqa: PLC0415

        bounds = {"client_accepted": foretold.client_accepted, "server_processed": foretold.server_processed}
        click.echo(document({"forecast": bounds, "reason": foretold.reason}))
    else:
        from lab.report import forecast as report  # noqa: PLC0415

        report.show(spec, foretold, expected(spec, foretold))
    return 0
