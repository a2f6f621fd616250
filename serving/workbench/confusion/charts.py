"""The diagrams of a report as points in the pages' picture (`serving/workbench/charts.py`). Draws nothing itself."""

from collections.abc import Iterable, Sequence

import numpy as np

from data.taxonomy import ROUTES
from evaluation.metrics import Bin, equal_mass_bins
from evaluation.predictions import Predictions
from evaluation.risk import risk_coverage, thin
from serving.workbench.charts import TICKS, Bar, Chart, Line, Point, at_x, at_y, round_up, share_ticks

_CURVE_POINTS = 120
"""Closer together than pixels."""
_HISTOGRAM_BINS = 20


def _places(points: Iterable[Point], most: float = 1.0) -> tuple[Point, ...]:
    return tuple((at_x(x), at_y(y, most)) for x, y in points)


def _line(name: str, colour: str, bins: Sequence[Bin]) -> Line:
    return Line(name, colour, _places((each.confidence, each.accuracy) for each in bins), dots=True)


def reliability(predictions: Predictions) -> Chart:
    """How often labels were right by how sure the model was, in 15 bins of equally many posts."""
    route = equal_mass_bins(
        predictions.route_probabilities.max(axis=1), predictions.predicted_routes == predictions.routes
    )
    intent = equal_mass_bins(
        predictions.intent_probabilities.max(axis=1), predictions.predicted_intents == predictions.intents
    )
    told = ", ".join(f"said {each.confidence:.0%}, right {each.accuracy:.0%}" for each in route)
    return Chart(
        title="Reliability",
        words=f"Reliability of the route, from least to most sure: {told}.",
        x_title="confidence",
        y_title="share that was right",
        x_ticks=share_ticks(across=True),
        y_ticks=share_ticks(across=False),
        lines=(
            Line("honest", "plain", _places(((0, 0), (1, 1)))),
            _line("route", "one", route),
            _line("intent", "two", intent),
        ),
    )


def confidences(predictions: Predictions) -> Chart:
    """How many posts there are at each confidence of the route, the wrong ones apart."""
    confidence = predictions.route_probabilities.max(axis=1)
    right = predictions.predicted_routes == predictions.routes
    ends = np.linspace(0, 1, _HISTOGRAM_BINS + 1)
    good, bad = (np.histogram(confidence[rows], ends)[0] for rows in (right, ~right))
    most = round_up(float(max((good + bad).max(initial=0), 1)))
    bars: list[Bar] = []
    for place, (of_right, of_wrong) in enumerate(zip(good.tolist(), bad.tolist(), strict=True)):
        at, width = (
            at_x(place / _HISTOGRAM_BINS),
            at_x((place + 1) / _HISTOGRAM_BINS) - at_x(place / _HISTOGRAM_BINS) - 1,
        )
        said = f"{ends[place]:.2f} to {ends[place + 1]:.2f}: {of_right} right, {of_wrong} wrong"
        low, high = at_y(of_wrong, most), at_y(of_wrong + of_right, most)
        bars += [
            Bar(at, high, round(width, 1), round(low - high, 1), "one", said),
            Bar(at, low, round(width, 1), round(at_y(0, most) - low, 1), "two", said),
        ]
    return Chart(
        title="Confidence",
        words=f"Posts by confidence of the route; {int(bad.sum())} of {len(confidence)} are wrong.",
        x_title="confidence of the route",
        y_title="posts",
        x_ticks=share_ticks(across=True),
        y_ticks=tuple((at_y(most * step / TICKS, most), f"{most * step / TICKS:.3g}") for step in range(TICKS + 1)),
        lines=(Line("right", "one", ()), Line("wrong", "two", ())),
        bars=tuple(bar for bar in bars if bar.height > 0),
    )


def risk(predictions: Predictions) -> Chart:
    """The share of wrong routes among the posts kept, against the share kept, by confidence and by `simple` alone."""
    confidence = predictions.route_probabilities.max(axis=1)
    simple = predictions.route_probabilities[:, ROUTES.index("simple")]
    wrong = predictions.predicted_routes != predictions.routes
    curves = (
        ("any route, by confidence", "one", thin(risk_coverage(confidence, wrong), _CURVE_POINTS)),
        ("answered as simple", "two", thin(risk_coverage(simple, ~predictions.is_route("simple")), _CURVE_POINTS)),
    )
    most = round_up(max((share for _, _, points in curves for _, share in points), default=0.0) or 0.01)
    ends = ", ".join(f"{name}: {points[-1][1]:.1%} wrong where all are kept" for name, _, points in curves if points)
    return Chart(
        title="Risk and coverage",
        words=f"What is wrong among the posts kept, by the share kept. {ends}.",
        x_title="share of posts kept",
        y_title="wrong among them",
        x_ticks=share_ticks(across=True),
        y_ticks=share_ticks(across=False, most=most),
        lines=tuple(Line(name, colour, _places(points, most)) for name, colour, points in curves),
    )


def charts_of(predictions: Predictions) -> dict[str, Chart]:
    """The diagrams of a report, by the names of their files."""
    return {"reliability": reliability(predictions), "confidence": confidences(predictions), "risk": risk(predictions)}
