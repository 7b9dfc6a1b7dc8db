"""The picture of a sweep: payload against buffers, each outcome in its colour, over the band between the forecasts.

A point below the band must complete, a point above it must freeze; points on the wrong side are drawn large and
counted. altair takes a second to import, so this module is imported only when a sweep has ended.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import altair as alt

from lab.spec import Outcome

COLOURS = {
    Outcome.COMPLETED: "#0072b2",
    Outcome.DEADLOCK: "#d55e00",
    Outcome.INCONCLUSIVE: "#999999",
    Outcome.ABORTED: "#cc79a7",
    Outcome.ONE_SIDED_STALL: "#e69f00",
    Outcome.LIVELOCK: "#f0e442",
    Outcome.BLACKHOLE: "#000000",
}
"""The palette of Okabe and Ito, which the colour-blind can tell apart."""
OTHERWISE, GREY = "#009e73", "#555555"

WIDTH, HEIGHT = 640, 380
"""Pixels of the frame; the PNG has some 130 KB."""


@dataclass(frozen=True, slots=True)
class Dot:
    """All points with the same buffers, payload and outcome."""

    buffers: int
    """Bytes that the four buffers may hold together."""
    payload: int
    outcome: str
    points: int
    wrong: int
    """How many of them the forecast excludes."""


@dataclass(frozen=True, slots=True)
class CliffBounds:
    """The payloads, in bytes, that the forecast leaves open for these buffers: the widest band of several settings."""

    buffers: int
    low: int
    high: int


def write(dots: Sequence[Dot], bands: Sequence[CliffBounds], html: Path, png: Path) -> None:
    """Saves one drawing as an interactive page that contains all its scripts, and as an image. Needs no browser."""
    chart = drawing(dots, bands)
    actions = {"export": True, "source": False, "compiled": False, "editor": False}  # the editor is an external site
    chart.save(html, inline=True, embed_options={"actions": actions})
    chart.save(png)


def drawing(dots: Sequence[Dot], bands: Sequence[CliffBounds]) -> alt.LayerChart:
    points, wrong = sum(dot.points for dot in dots), sum(dot.wrong for dot in dots)
    title = alt.TitleParams(
        f"{points:,} points, {wrong:,} on the wrong side of the forecast",
        subtitle="below the band every byte must come back; above it the two must freeze; within it either may happen",
        anchor="start",
    )
    return alt.LayerChart(layer=[*_band(bands), _dots(dots)], title=title, width=WIDTH, height=HEIGHT)


def _band(bands: Sequence[CliffBounds]) -> list[alt.Chart]:
    chart = alt.Chart(_data(bands)).encode(x="buffers:Q")
    # If all points have the same buffers, the area has no width; the rule still shows.
    filled = [
        chart.mark_area(opacity=0.16, color=GREY).encode(y="low:Q", y2="high:Q"),
        chart.mark_rule(opacity=0.16, color=GREY, strokeWidth=3).encode(y="low:Q", y2="high:Q"),
    ]
    edges = [chart.mark_line(color=GREY, strokeWidth=1).encode(y=edge) for edge in ("low:Q", "high:Q")]
    return [*filled, *edges] if bands else []


def _dots(dots: Sequence[Dot]) -> alt.Chart:
    seen = sorted({dot.outcome for dot in dots}, key=_rank)
    colours = [COLOURS.get(Outcome(each), OTHERWISE) for each in seen]
    log, bytes_ = alt.Scale(type="log", nice=False), alt.Axis(format="~s")
    chart: alt.Chart = (
        alt.Chart(_data(dots))
        .mark_point(filled=True, opacity=0.75)
        .encode(
            x=alt.X("buffers:Q", title="the four buffers together, bytes", scale=log, axis=bytes_),
            y=alt.Y("payload:Q", title="payload, bytes", scale=log, axis=bytes_),
            color=alt.Color("outcome:N", scale=alt.Scale(domain=seen, range=colours)),
            shape=alt.Shape("outcome:N", scale=alt.Scale(domain=seen)),
            size=alt.condition("datum.wrong > 0", alt.value(200), alt.value(26)),
            tooltip=[f"{name}:{kind}" for name, kind in _TOOLTIP],
        )
    )
    return chart


_TOOLTIP = (("payload", "Q"), ("buffers", "Q"), ("outcome", "N"), ("points", "Q"), ("wrong", "Q"))


def _data(values: Sequence[Dot] | Sequence[CliffBounds]) -> alt.Data:
    return alt.Data(values=[asdict(each) for each in values])  # type: ignore[no-untyped-call]


def _rank(outcome: str) -> int:
    return list(Outcome).index(Outcome(outcome))
