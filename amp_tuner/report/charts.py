"""The plots, as Vega specifications that the page's script gives their data.

Each reads one named data set: rows as ``study_data`` makes them. Colours and shapes are of the
plot, words and lines take the page's (``report.css``), so that one drawing serves light, dark and
print.
"""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import vl_convert

#: What a point of the front's plot can be, with its colour and shape. The colours are Okabe and
#: Ito's or darker ones of theirs: apart for any colour vision, on white and on black.
KINDS = {
    "best": ("#d55e00", "diamond"),
    "knee": ("#b0579a", "triangle-up"),
    "front": ("#0072b2", "circle"),
    "FP32": ("#808080", "square"),
    "default AMP": ("#a87800", "square"),
    "meets": ("#009e73", "circle"),
    "uncertain": ("#808080", "circle"),
    "misses": ("#c0392b", "cross"),
    "cached": ("#808080", "triangle-down"),
}
_SIDES = {"FP32": "#808080", "this setting": "#d55e00"}
_RULE = "#808080"
#: Where a label stands: towards the middle of the plot; FP32 above, what is near it below.
_LABELS: dict[str, tuple[Literal["left", "right"], int, int]] = {
    "above left": ("left", -4, -13),
    "above right": ("right", 4, -13),
    "below left": ("left", -4, 15),
    "below right": ("right", 4, 15),
}
_SHOWN = (
    "datum.layer == 'front' || datum.layer == 'other' || (datum.layer == 'cached' && cached) || "
    "(datum.layer == 'misses' && misses)"
)
_TOOLTIP = [alt.Tooltip(f"{name}:N") for name in ("trial", "moves", "speed-up", "accuracy")]


def front_chart(
    accuracy: str,
    *,
    upwards: bool,
    limit: float,
    modelled: bool,
    speeds: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Speed-up and accuracy of every setting; the front's with their intervals.

    Data ``trials``; parameters ``cached`` and ``misses`` (show those), ``chosen`` (a number).

    Args:
        accuracy: the axis' title.
        upwards: larger values are better; the better end is always on top.
        limit: the goal, as a value of that axis.
        modelled: speeds are a device model's.
        speeds: the range of speed-ups; None: that of the data.
    """
    order: Literal["ascending", "descending"] = "ascending" if upwards else "descending"

    domain = alt.Undefined if speeds is None else list(speeds)

    def x(field: str) -> alt.X:
        scale = alt.Scale(zero=False, padding=26, domain=domain)
        return alt.X(
            f"{field}:Q", title=_modelled("speed-up", modelled), scale=scale, axis=_few_ticks()
        )

    def y(field: str) -> alt.Y:
        scale = alt.Scale(zero=False, padding=18)
        return alt.Y(f"{field}:Q", title=accuracy, sort=order, scale=scale)

    base = alt.Chart(alt.NamedData("trials")).transform_filter(_SHOWN)
    listed = base.transform_filter("datum.layer == 'front'")
    others = base.transform_filter("datum.layer != 'front'")
    colour = alt.Color("kind:N", title=None, scale=_scale(0), legend=_legend())
    shape = alt.Shape("kind:N", title=None, scale=_scale(1), legend=_legend())
    drawn: dict[str, Any] = {
        "x": x("x"),
        "y": y("y"),
        "color": colour,
        "shape": shape,
        "tooltip": _TOOLTIP,
    }
    marks: list[alt.Chart] = [
        # Below the points, which it would keep from the mouse.
        base.transform_filter("datum.n == chosen")
        .mark_point(size=420, strokeWidth=2, filled=False, color=_RULE, aria=False)
        .encode(x=x("x"), y=y("y")),
        _points(others, 55, 0.75).encode(**drawn),
        listed.mark_rule(aria=False).encode(x=x("x0"), x2="x1:Q", y=y("y"), color=colour),
        listed.mark_rule(aria=False).encode(x=x("x"), y=y("y0"), y2="y1:Q", color=colour),
        _points(listed, 110, 1.0).encode(**drawn),
        *_names(listed.encode(x=x("x"), y=y("y"))),
    ]
    layers = alt.layer(*_goal(limit, y("y")), *marks).add_params(
        alt.param(name="cached", value=False),
        alt.param(name="misses", value=False),
        alt.param(name="chosen", value=-1),
    )
    return _compiled(layers.properties(height=380), "Speed-up and accuracy of the settings")


def _names(listed: alt.Chart) -> list[alt.Chart]:
    """What the front's points are called, each word beside its point."""
    return [
        listed.transform_filter(f"datum.anchor == '{anchor}'")
        .mark_text(align=align, baseline="middle", dx=dx, dy=dy, aria=False)
        .encode(text="label:N")
        for anchor, (align, dx, dy) in _LABELS.items()
    ]


def unplaced_chart() -> dict[str, Any]:
    """The proposals without a speed-up, by number and outcome; data ``unplaced``."""
    marks = (
        alt.Chart(alt.NamedData("unplaced"))
        .mark_point(shape="cross", size=60, filled=True, color="#c0392b", aria=False)
        .encode(
            x=alt.X("n:Q", title="number of the proposal", scale=alt.Scale(zero=False, padding=12)),
            y=alt.Y("kind:N", title=None),
            tooltip=[alt.Tooltip(f"{name}:N") for name in ("trial", "moves", "cause")],
        )
    )
    return _compiled(marks.properties(height=alt.Step(26)), "Proposals without a speed-up")


def effects_chart(*, modelled: bool) -> dict[str, Any]:
    """What single moves change, with intervals; data ``effects``."""
    base = alt.Chart(alt.NamedData("effects")).encode(
        y=alt.Y("move:N", title=None, sort=None, axis=alt.Axis(labelLimit=190)),
        color=alt.Color(
            "data_type:N",
            title=None,
            scale=alt.Scale(domain=["bfloat16", "float16"], range=["#0072b2", "#d55e00"]),
            legend=_legend(),
        ),
        yOffset="data_type:N",
    )
    scale = alt.Scale(zero=False, padding=10)
    title = _modelled("speed, times as fast", modelled)
    x = alt.X("x:Q", title=title, scale=scale, axis=_few_ticks())
    tooltip = [alt.Tooltip(f"{name}:N") for name in ("move", "data_type", "speed", "pairs")]
    none = alt.Chart().mark_rule(strokeDash=[4, 4], color=_RULE, aria=False)
    layers = alt.layer(
        none.encode(x=alt.datum(1)),
        base.mark_rule(aria=False).encode(x=alt.X("x0:Q"), x2="x1:Q"),
        base.mark_point(filled=True, size=60, opacity=1, aria=False).encode(x=x, tooltip=tooltip),
    )
    return _compiled(layers.properties(height=alt.Step(16)), "What single moves change")


def blocks_chart() -> dict[str, Any]:
    """Block times of both sides, in the order in which they ran; data ``blocks``."""
    marks = (
        alt.Chart(alt.NamedData("blocks"))
        .mark_point(filled=True, size=26, opacity=0.8, aria=False)
        .encode(
            x=alt.X("s:Q", title="seconds since the measurement began", axis=_few_ticks()),
            y=alt.Y("ms:Q", title="median run of the block, ms", scale=alt.Scale(zero=False)),
            color=alt.Color(
                "side:N",
                title=None,
                scale=alt.Scale(domain=list(_SIDES), range=list(_SIDES.values())),
                legend=_legend(),
            ),
            shape=alt.Shape(
                "phase:N",
                title=None,
                scale=alt.Scale(
                    domain=["timed", "warmup", "repeated"], range=["circle", "triangle-up", "cross"]
                ),
                legend=_legend(symbolFillColor=_RULE),
            ),
            tooltip=[alt.Tooltip(f"{name}:N") for name in ("side", "phase", "s", "ms")],
        )
    )
    return _compiled(marks.properties(height=240), "Block times of FP32 and of the setting")


def _modelled(title: str, modelled: bool) -> str:
    return f"modelled {title}" if modelled else title


def _few_ticks() -> alt.Axis:
    # Labels of more would meet on a telephone.
    return alt.Axis(tickCount=7)


def _scale(position: int) -> alt.Scale:
    values = [kind[position] for kind in KINDS.values()]
    return alt.Scale(domain=list(KINDS), range=values)


def _legend(**changes: Any) -> alt.Legend:
    # Three columns fit on a telephone.
    return alt.Legend(orient="bottom", columns=3, symbolOpacity=1, symbolSize=80, **changes)


def _points(base: alt.Chart, size: int, opacity: float) -> alt.Chart:
    marks: alt.Chart = base.mark_point(
        filled=True, size=size, opacity=opacity, cursor="pointer", aria=False
    )
    return marks


def _goal(limit: float, y: alt.Y) -> list[alt.Chart]:
    line = alt.Chart(alt.InlineData([{"y": limit, "label": "goal"}])).encode(y=y)
    rule = line.mark_rule(strokeDash=[6, 4], color=_RULE, aria=False)
    word = line.mark_text(align="left", dx=4, dy=-6, aria=False).encode(
        x=alt.value(0), text="label:N"
    )
    return [rule, word]


def _compiled(
    chart: alt.Chart | alt.LayerChart | alt.FacetChart, description: str
) -> dict[str, Any]:
    """A Vega specification as wide as its place; what Vega-Lite says is worked out here, once."""
    plain = chart.properties(
        width="container",
        description=description,
        background="transparent",
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        config=alt.Config(
            view=alt.ViewConfig(stroke=None),
            axis=alt.AxisConfig(labelFontSize=12, titleFontSize=12, labelOverlap=True),
            legend=alt.LegendConfig(labelFontSize=12),
            text=alt.MarkConfig(fontSize=12),
            font="system-ui, 'Liberation Sans', sans-serif",
        ),
    ).to_dict(validate=True)
    compiled: dict[str, Any] = vl_convert.vegalite_to_vega(plain)
    return compiled
