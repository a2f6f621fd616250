"""Pictures of a run for the tracking store: what a person looks at before reading numbers."""

from collections.abc import Sequence

import plotly.graph_objects as go

from training.history import Epoch


def learning_curve(history: Sequence[Epoch]) -> go.Figure:
    """Loss on the training split and figures on the development split, by epoch."""
    epochs = [each.epoch for each in history]
    figure = go.Figure()
    for name, values in (
        ("macro-F1 (development)", [each.macro_f1 for each in history]),
        ("accuracy (development)", [each.accuracy for each in history]),
        ("intent accuracy (development)", [each.intent_accuracy for each in history]),
    ):
        figure.add_scatter(x=epochs, y=values, name=name, mode="lines+markers")
    losses = [each.loss for each in history]
    figure.add_scatter(x=epochs, y=losses, name="loss (training)", mode="lines+markers", yaxis="y2")
    figure.update_layout(
        title="Fine-tuning by epoch",
        xaxis={"title": "epoch", "dtick": 1},
        yaxis={"title": "share", "range": [0, 1]},
        yaxis2={"title": "loss", "overlaying": "y", "side": "right", "rangemode": "tozero"},
    )
    return figure
