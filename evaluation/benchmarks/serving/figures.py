"""The results as one picture: a page that needs no network, and a PNG of it where a Chromium is at hand."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from data.dependencies import needs_group
from evaluation.benchmarks.serving.results import GOOD_MS, Benchmark, Measured, Ratios

with needs_group("bench", "Drawing the benchmark"):
    from plotly import graph_objects as go
    from plotly.subplots import make_subplots

HTML_FILE, PNG_FILE = "serving.html", "serving.png"
_OURS, _OTHERS = "#2f7fd6", "#8a8f98"
"""As in the report: told apart by all common kinds of colour vision."""
_PANELS: tuple[tuple[str, Callable[[Ratios], float | None]], ...] = (
    ("idle p50, times the bare model (less is better)", lambda ratios: ratios.idle_p50),
    ("idle p99, times the bare model (less is better)", lambda ratios: ratios.idle_p99),
    (f"sustained within {GOOD_MS} ms, share of the bare limit (more is better)", lambda ratios: ratios.sustained),
    ("goodput at 5 x overload, share of the bare limit (more is better)", lambda ratios: ratios.overload_goodput),
    ("CPU a post, times the bare model (less is better)", lambda ratios: ratios.cpu),
    ("memory, times the bare process (less is better)", lambda ratios: ratios.memory),
)
_WIDTH, _HEIGHT = 1280, 900
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_DRAW_S = 120
"""Chromium takes two seconds; on a machine at work a minute was seen."""


def draw(results: Benchmark) -> go.Figure:
    """Six panels of ratios to the bare model, a bar for each server that was measured."""
    measured: list[tuple[str, Measured]] = [(each.name, each.measured) for each in results.servers if each.measured]
    names = [name for name, _ in measured]
    colours = [_OURS if name.startswith("signalbox") else _OTHERS for name in names]
    figure = make_subplots(rows=3, cols=2, subplot_titles=[title for title, _ in _PANELS], vertical_spacing=0.12)
    for place, (title, ratio) in enumerate(_PANELS):
        values = [ratio(found.ratios) for _, found in measured]
        figure.add_trace(
            go.Bar(
                name=title,
                x=values,
                y=names,
                orientation="h",
                marker={"color": colours},
                text=["none" if value is None else f"{value:.2f}" for value in values],
                textposition="auto",
            ),
            row=place // 2 + 1,
            col=place % 2 + 1,
        )
    when = f"{results.made_at:%Y-%m-%d}, {results.machine.cores} cores, model {results.model_version}"
    figure.update_layout(
        template="none",
        title={"text": f"Serving one post a request, beside the bare model of the same minutes ({when})"},
        showlegend=False,
        width=_WIDTH,
        height=_HEIGHT,
        margin={"l": 130, "r": 30, "t": 110, "b": 40},
        paper_bgcolor="white",
    )
    figure.update_yaxes(autorange="reversed", automargin=True).update_xaxes(rangemode="tozero")
    figure.update_annotations(font={"size": 13})
    return figure


def _browser() -> str | None:
    return next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", "chromium"), *_BROWSERS))), None)


def _photograph(browser: str, page: Path, picture: Path) -> bool:
    """True where the browser has made a picture of the page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
        command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        command += [f"--user-data-dir={profile}", f"--window-size={_WIDTH + 20},{_HEIGHT + 20}"]
        command += [f"--screenshot={picture.absolute()}", page.absolute().as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=_DRAW_S)
        except (OSError, subprocess.TimeoutExpired):
            return False
    return done.returncode == 0 and picture.exists()


def write_figure(directory: Path, results: Benchmark) -> tuple[Path, Path | None]:
    """The page, and the picture of it where a Chromium could make one, both in `directory`."""
    page, picture = directory / HTML_FILE, directory / PNG_FILE
    draw(results).write_html(page, include_plotlyjs=True, config={"displaylogo": False})
    picture.unlink(missing_ok=True)
    browser = _browser()
    return page, picture if browser and _photograph(browser, page, picture) else None
