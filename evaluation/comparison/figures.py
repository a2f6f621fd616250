"""The three diagrams of the comparison, as Plotly figures: differences, reliability, risk and coverage."""

from collections.abc import Sequence

from data.dependencies import needs_group
from evaluation.comparison.checks import Check
from evaluation.comparison.sides import Pair
from evaluation.report.figures import (
    GREY,
    INTENT_COLOUR,
    ROUTE_COLOUR,
    Figure,
    as_figure_json,
    layout,
    reliability_trace,
    risk_trace,
)

with needs_group("evaluate", "Drawing the comparison"):
    from plotly import graph_objects as go

CHAMPION_COLOUR, CHALLENGER_COLOUR, BAD_COLOUR = GREY, ROUTE_COLOUR, INTENT_COLOUR
_PAIRED = ("automatic_share", "accuracy", "macro_f1", "intent_accuracy", "augrc", "brier")
"""The checks whose margin is one of a difference."""


def _in_margins(check: Check) -> tuple[float, float, float]:
    """Value, low and high in units of the margin, turned so that right is better and -1 is the margin."""
    limit = check.limit or 1.0
    values = [-(each or 0.0) / limit for each in (check.value, check.low, check.high)]
    return values[0], min(values[1:]), max(values[1:])


def difference_plot(checks: Sequence[Check]) -> Figure:
    """Each paired difference with its interval, in units of its margin: what reaches left of -1 is refused."""
    shown = [each for each in reversed(checks) if each.name in _PAIRED and each.value is not None and each.limit]
    values = [_in_margins(each) for each in shown]
    colours = [CHALLENGER_COLOUR if each.passed else BAD_COLOUR for each in shown]
    points = go.Scatter(
        name="challenger against champion",
        x=[value for value, _, _ in values],
        y=[each.name.replace("_", " ") for each in shown],
        text=[each.words for each in shown],
        hovertemplate="%{text}<extra></extra>",
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [high - value for value, _, high in values],
            "arrayminus": [value - low for value, low, _ in values],
            "thickness": 2,
            "width": 6,
            "color": GREY,
        },
        mode="markers",
        marker={"size": 11, "color": colours},
    )
    figure = go.Figure([points], layout("worse   ← in units of the margin →   better", ""))
    figure.update_xaxes(tickformat="+.1f", zeroline=True).update_yaxes(tickformat=None)
    figure.add_vline(x=-1, line={"color": BAD_COLOUR, "width": 2, "dash": "dash"})
    return as_figure_json(figure)


def reliability_plot(pair: Pair) -> Figure:
    """How often the routes were right against how sure each bundle was, in 15 bins of equally many posts."""
    dashed = {"color": GREY, "width": 1, "dash": "dash"}
    honest = go.Scatter(name="honest", x=[0, 1], y=[0, 1], mode="lines", line=dashed, hoverinfo="skip")
    traces = [
        reliability_trace(name, colour, side.predictions.route_probabilities, side.right)
        for name, colour, side in (
            ("champion", CHAMPION_COLOUR, pair.champion),
            ("challenger", CHALLENGER_COLOUR, pair.challenger),
        )
    ]
    figure = go.Figure([honest, *traces], layout("confidence", "share that was right"))
    figure.update_xaxes(range=[0, 1.02], dtick=0.2).update_yaxes(range=[0, 1.04], dtick=0.2)
    return as_figure_json(figure)


def risk_plot(pair: Pair) -> Figure:
    """The share of wrong routes among the posts kept, against the share kept, for both bundles."""
    traces = [
        risk_trace(name, colour, side.predictions.route_probabilities.max(axis=1), ~side.right)
        for name, colour, side in (
            ("champion", CHAMPION_COLOUR, pair.champion),
            ("challenger", CHALLENGER_COLOUR, pair.challenger),
        )
    ]
    figure = go.Figure(traces, layout("share of posts kept", "wrong among them"))
    figure.update_xaxes(range=[0, 1.02], dtick=0.2).update_yaxes(rangemode="tozero")
    return as_figure_json(figure)
