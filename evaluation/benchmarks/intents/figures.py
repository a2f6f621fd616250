"""The results as one picture: a page that needs no network, and a PNG of it where a Chromium is at hand."""

from pathlib import Path
from statistics import fmean, stdev

from data.dependencies import needs_group
from evaluation.benchmarks.intents.methods import METHODS
from evaluation.benchmarks.intents.published import PUBLISHED
from evaluation.benchmarks.intents.results import Results
from evaluation.benchmarks.intents.tables import by_set
from evaluation.picture import take_picture

with needs_group("evaluate", "Drawing the benchmark"):
    from plotly import graph_objects as go

HTML_FILE, PNG_FILE = "intents.html", "intents.png"
_COLOURS = ("#8a8f98", "#c08a2e", "#2f7fd6", "#5f9e6e", "#9d6bb3", "#b04a5a")
"""As in the report: told apart by all common kinds of colour vision."""
_WIDTH, _HEIGHT = 1100, 560


def draw(results: Results) -> go.Figure:
    """Accuracy in scope by set, a bar for each method with its spread over seeds, published figures as lines."""
    groups = by_set(results)
    names = [size.set for size in results.sizes]
    figure = go.Figure()
    for method, colour in zip(METHODS, _COLOURS, strict=True):
        found = {name: [100 * c.scored.accuracy for c in groups.get((name, method), [])] for name in names}
        shown = [name for name in names if found[name]]
        if shown:
            spreads = [stdev(found[name]) if len(found[name]) > 1 else 0.0 for name in shown]
            means = [fmean(found[name]) for name in shown]
            bars = {"x": shown, "y": means, "marker": {"color": colour}, "error_y": {"array": spreads}}
            figure.add_trace(go.Bar(name=method, text=[f"{mean:.1f}" for mean in means], **bars))
    others = [each for each in PUBLISHED if each.accuracy and each.set in names]
    figure.add_trace(
        go.Scatter(
            name="published",
            mode="markers",
            x=[each.set for each in others],
            y=[float(each.accuracy) for each in others],
            text=[f"{each.who}, {each.source}" for each in others],
            marker={"symbol": "line-ew-open", "size": 60, "color": "#222222", "line": {"width": 2}},
        )
    )
    figure.update_layout(
        template="none",
        title={"text": f"Accuracy in scope, per cent ({results.made_at:%Y-%m-%d}); lines are published figures"},
        barmode="group",
        width=_WIDTH,
        height=_HEIGHT,
        paper_bgcolor="white",
    )
    return figure


def write_figure(directory: Path, results: Results) -> tuple[Path, str | None]:
    """The page in `directory`, and why there is no picture of it beside it, where there is none."""
    page = directory / HTML_FILE
    draw(results).write_html(page, include_plotlyjs=True, config={"displaylogo": False})
    return page, take_picture(page, directory / PNG_FILE, _WIDTH + 20, _HEIGHT + 20)
