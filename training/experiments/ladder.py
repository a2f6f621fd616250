"""A ladder of recipes: what each rung gained over the one below it, over the seeds that both were trained with.

A rung is what `python -m training seeds` wrote. Gains are paired by seed, intervals are Student's t (`seeds.py`); a
figure that both rungs do not have, or have of other posts, has no gain.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from evaluation.picture import take_picture
from training.errors import TrainingError
from training.experiments.seeds import Gain, paired_gain

HTML_FILE, PNG_FILE = "ladder.html", "ladder.png"
_DEVELOPMENT = ("macro_f1", "accuracy", "intent_accuracy")
_WIDTH, _ROW = 1000, 260
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
"""Okabe and Ito: told apart by all common kinds of colour vision."""


@dataclass(frozen=True, slots=True)
class Rung:
    """The figures of one recipe by place, name and seed, and its training time per seed.

    A place is `development`, or a file with the language that was measured of it.
    """

    name: str
    figures: Mapping[str, Mapping[str, Mapping[int, float]]]
    posts: Mapping[str, str]
    """The fingerprint of the posts of a place."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """A rung, and by place and figure its gain over the one below; the lowest has none."""

    rung: Rung
    gains: Mapping[str, Mapping[str, Gain]]


def _by_seed(
    seeds: Sequence[int], runs: Sequence[Mapping[str, float]], names: Iterable[str]
) -> dict[str, dict[int, float]]:
    return {name: {seed: run[name] for seed, run in zip(seeds, runs, strict=True)} for name in names}


def read_rung(path: Path) -> Rung:
    """The rung that `seeds` wrote.

    Raises:
        TrainingError: when the file is missing or is not one of `seeds`.
    """
    try:
        content = json.loads(path.read_bytes())
        runs = content["runs"]
        seeds = [run["seed"] for run in runs]
        figures = {"development": _by_seed(seeds, runs, _DEVELOPMENT)}
        posts = {"development": str(runs[0]["development"])}
        for each in content.get("elsewhere", []):
            place = f"{each['file']} ({each['language']})" if each["language"] else each["file"]
            figures[place] = _by_seed(seeds, each["runs"], each["runs"][0])
            posts[place] = each["fingerprint"]
        return Rung(content["recipe"], figures, posts, fmean(run["seconds"] for run in runs))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise TrainingError(
            f"The rung {path} could not be read: {type(error).__name__}. Wanted a seeds.json that `python -m training "
            "seeds` wrote. Name that file, lowest rung first."
        ) from error


def _gains(below: Rung, rung: Rung) -> dict[str, dict[str, Gain]]:
    found: dict[str, dict[str, Gain]] = {}
    for place, figures in rung.figures.items():
        if place not in below.figures or below.posts[place] != rung.posts[place]:
            continue
        for name, theirs in figures.items():
            ours = below.figures[place].get(name, {})
            shared = sorted(ours.keys() & theirs.keys())
            if len(shared) > 1:
                gain = paired_gain([ours[seed] for seed in shared], [theirs[seed] for seed in shared])
                found.setdefault(place, {})[name] = gain
    return found


def climb(rungs: Sequence[Rung]) -> list[Step]:
    """Each rung with what it gained over the one below it, lowest first.

    Raises:
        TrainingError: when two rungs have one name, so that nobody could tell them apart.
    """
    names = [rung.name for rung in rungs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise TrainingError(
            f"Two rungs are called {min(twice)!r}. Wanted another name for each. Set `name` in the recipe and train "
            "again."
        )
    first = [Step(rung, {}) for rung in rungs[:1]]
    return first + [Step(rung, _gains(below, rung)) for below, rung in pairwise(rungs)]


def _places(steps: Sequence[Step]) -> list[tuple[str, str]]:
    """Every place and figure that some rung has, in the order in which they come up."""
    return list(dict.fromkeys((place, name) for s in steps for place, of in s.rung.figures.items() for name in of))


def draw_ladder(steps: Sequence[Step]) -> go.Figure:
    """A row for each place, a dot for each seed, a line through the means."""
    places = list(dict.fromkeys(place for place, _ in _places(steps)))
    figure = make_subplots(rows=len(places), cols=1, shared_xaxes=True, subplot_titles=places)
    names = list(dict.fromkeys(name for _, name in _places(steps)))
    for place, name in _places(steps):
        row, colour = places.index(place) + 1, _COLOURS[names.index(name) % len(_COLOURS)]
        had = [(step.rung.name, step.rung.figures.get(place, {}).get(name, {})) for step in steps]
        dots = [(rung, value) for rung, values in had for value in values.values()]
        means = [(rung, fmean(values.values())) for rung, values in had if values]
        of = {"legendgroup": name, "name": name, "row": row, "col": 1}
        shown = place == next(where for where, what in _places(steps) if what == name)
        marker = {"color": colour, "size": 6, "opacity": 0.5}
        figure.add_scatter(
            x=[x for x, _ in dots], y=[y for _, y in dots], mode="markers", marker=marker, showlegend=False, **of
        )
        line = {"color": colour, "width": 2}
        figure.add_scatter(
            x=[x for x, _ in means], y=[y for _, y in means], mode="lines+markers", line=line, showlegend=shown, **of
        )
    figure.update_layout(template="plotly_white", width=_WIDTH, height=_ROW * len(places) + 120)
    figure.update_xaxes(categoryorder="array", categoryarray=[step.rung.name for step in steps])
    return figure


def as_markdown(steps: Sequence[Step]) -> str:
    """A table in points (per cent): the mean of each rung and, in brackets, its gain with the interval of 95 %."""
    columns = _places(steps)
    heads = [f"{place}: {name.replace('_', ' ')}" for place, name in columns]
    lines = ["| " + " | ".join(["rung", *heads, "minutes a seed"]) + " |", "|---" * (len(columns) + 2) + "|"]
    for step in steps:
        cells = []
        for place, name in columns:
            values = step.rung.figures.get(place, {}).get(name, {}).values()
            gain = step.gains.get(place, {}).get(name)
            cell = f"{100 * fmean(values):.1f}" if values else ""
            if gain:
                cell += f" ({100 * gain.mean:+.1f}; {100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
            cells.append(cell)
        lines.append(f"| {step.rung.name} | " + " | ".join(cells) + f" | {step.rung.seconds / 60:.0f} |")
    return "\n".join(lines)


def write_ladder(steps: Sequence[Step], directory: Path) -> tuple[Path, str | None]:
    """The page in `directory`, and why there is no picture of it beside it, where there is none."""
    directory.mkdir(parents=True, exist_ok=True)
    page, figure = directory / HTML_FILE, draw_ladder(steps)
    figure.write_html(page, include_plotlyjs=True, config={"displaylogo": False})
    return page, take_picture(page, directory / PNG_FILE, _WIDTH + 20, figure.layout.height + 20)
