"""The two diagrams of the report, as Plotly figures. Colours of text and grid are the page's, set by its script."""

from typing import Any

from data.dependencies import needs_group
from data.taxonomy import ROUTES
from evaluation.metrics import equal_mass_bins
from evaluation.predictions import BoolArray, Predictions
from evaluation.risk import risk_coverage, thin
from models.calibration import FloatArray

with needs_group("evaluate", "Drawing the report"):
    from plotly import graph_objects as go

Figure = dict[str, Any]
"""A Plotly figure as JSON: `data` and `layout`."""
ROUTE_COLOUR, INTENT_COLOUR, GREY = "#2f7fd6", "#d9822b", "#8a8f98"
"""Told apart by all common kinds of colour vision, and on light and dark ground."""
_CURVE_POINTS = 300
_PERCENT = ".0%"


def layout(x_title: str, y_title: str) -> go.Layout:
    """The layout of a diagram of shares."""
    axis = {"tickformat": _PERCENT, "zeroline": False, "automargin": True}
    return go.Layout(
        template="none",
        margin={"l": 56, "r": 12, "t": 56, "b": 48},
        height=390,
        hovermode="closest",
        legend={"orientation": "h", "x": 0, "y": 1.03, "yanchor": "bottom"},
        xaxis={"title": {"text": x_title}, **axis},
        yaxis={"title": {"text": y_title}, **axis},
    )


def as_figure_json(figure: go.Figure) -> Figure:
    """The figure as JSON, without the template that the page does not use."""
    content: Figure = figure.to_plotly_json()
    layout = {name: value for name, value in content["layout"].items() if name != "template"}
    return {"data": content["data"], "layout": layout}


def reliability_trace(name: str, colour: str, probabilities: FloatArray, right: BoolArray) -> go.Scatter:
    """How often one head was right by how sure it was."""
    bins = equal_mass_bins(probabilities.max(axis=1), right)
    return go.Scatter(
        name=name,
        x=[each.confidence for each in bins],
        y=[each.accuracy for each in bins],
        text=[f"{each.posts} posts, confidence {each.low:.3f} to {each.high:.3f}" for each in bins],
        hovertemplate="%{text}<br>said %{x:.1%}, was right %{y:.1%}<extra>" + name + "</extra>",
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"color": colour, "size": 7},
    )


def reliability_diagram(predictions: Predictions) -> Figure:
    """How often the labels were right against how sure the model was, in 15 bins of equally many posts."""
    right_route = predictions.predicted_routes == predictions.routes
    right_intent = predictions.predicted_intents == predictions.intents
    honest = go.Scatter(
        name="honest",
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": GREY, "width": 1, "dash": "dash"},
        hoverinfo="skip",
    )
    figure = go.Figure(
        [
            honest,
            reliability_trace("route", ROUTE_COLOUR, predictions.route_probabilities, right_route),
            reliability_trace("intent", INTENT_COLOUR, predictions.intent_probabilities, right_intent),
        ],
        layout("confidence", "share that was right"),
    )
    figure.update_xaxes(range=[0, 1.02], dtick=0.2).update_yaxes(range=[0, 1.04], dtick=0.2)
    return as_figure_json(figure)


def risk_trace(name: str, colour: str, confidence: FloatArray, wrong: BoolArray) -> go.Scatter:
    """What is wrong among the posts kept, by how many are kept."""
    points = thin(risk_coverage(confidence, wrong), _CURVE_POINTS)
    return go.Scatter(
        name=name,
        x=[coverage for coverage, _ in points],
        y=[risk for _, risk in points],
        hovertemplate="keeping %{x:.1%}, %{y:.1%} of them wrong<extra>" + name + "</extra>",
        mode="lines",
        line={"color": colour, "width": 2},
    )


def risk_coverage_curve(predictions: Predictions) -> Figure:
    """The share of wrong routes among the posts kept, against the share kept, by confidence and by `simple` alone."""
    confidence = predictions.route_probabilities.max(axis=1)
    simple = predictions.route_probabilities[:, ROUTES.index("simple")]
    wrong = predictions.predicted_routes != predictions.routes
    figure = go.Figure(
        [
            risk_trace("any route, by confidence", ROUTE_COLOUR, confidence, wrong),
            risk_trace("answered as simple", INTENT_COLOUR, simple, ~predictions.is_route("simple")),
        ],
        layout("share of posts kept", "wrong among them"),
    )
    for risk in (0.01, 0.02, 0.05):
        figure.add_hline(y=risk, line={"color": GREY, "width": 1, "dash": "dot"})
    figure.update_xaxes(range=[0, 1.02], dtick=0.2).update_yaxes(rangemode="tozero")
    return as_figure_json(figure)
