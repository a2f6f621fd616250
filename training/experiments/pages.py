"""The learning curve as a picture: F1 of each route over its labels, every seed a dot, the fitted law a line."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from data.output import whole_file
from training.experiments.curve import MORE_LABELS, Curve, Outlook

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Okabe and Ito: told apart by all common kinds of colour vision."""


def draw_curve(curve: Curve, outlooks: Sequence[Outlook]) -> go.Figure:
    """Dots are trainings, lines the fitted laws to `MORE_LABELS` more labels, dotted beyond what was measured."""
    figure = go.Figure()
    for each, colour in zip(outlooks, _COLOURS, strict=False):
        series = curve.series(each.route)
        labels, scores = [n for n, _ in series], [f1 for _, f1 in series]
        figure.add_scatter(x=labels, y=scores, name=each.route, mode="markers", marker={"color": colour, "size": 8})
        if each.law is None:
            continue
        for start, end, dash in (
            (min(labels), each.labels, "solid"),
            (each.labels, each.labels + MORE_LABELS, "dot"),
        ):
            at = np.linspace(start, end, 40)
            law = [1 - each.law.error(n) for n in at]
            line = {"color": colour, "dash": dash}
            figure.add_scatter(x=at.tolist(), y=law, mode="lines", line=line, showlegend=False)
    figure.update_layout(
        template="plotly_white",
        title=f"Learning curve of {curve.recipe} on {sum(curve.development.values())} development posts",
        xaxis={"title": "labels of the class in training"},
        yaxis={"title": "F1"},
    )
    return figure


def write_curve(curve: Curve, outlooks: Sequence[Outlook], page: Path) -> None:
    """Nothing; the page shows the curve afterwards and needs no network."""
    with whole_file(page) as file:
        file.write(draw_curve(curve, outlooks).to_html(include_plotlyjs=True))
