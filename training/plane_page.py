"""The plane for people: the tables of `docs/model-speed.md` and the figure, from one measured `Plane`; and as JSON."""

from itertools import groupby
from pathlib import Path

import plotly.graph_objects as go
from pydantic import TypeAdapter, ValidationError

from evaluation.marks import put_between
from evaluation.picture import take_picture
from training.batches import SIZES, SameBytes
from training.card import render_template
from training.errors import TrainingError
from training.plane import Measured, Plane

MARKS = ("<!-- figures: python -m training plane --into docs/model-speed.md -->", "<!-- /figures -->")
JSON_FILE, PAGE_FILE, PICTURE_FILE = "plane.json", "plane.html", "plane.png"
_SAME: dict[SameBytes, str] = {"padded": "yes", "equal": "of equal lengths", "alone": "no: run alone"}
_ALT = "Every way by its milliseconds for a post and its macro-F1; the table below names the numbers"
_PLANE = TypeAdapter(Plane)
WIDTH_PX, HEIGHT_PX = 1080, 620
_FRONT, _LOSER = "#2f7fd6", "#8a8f98"
"""Told apart by all common kinds of colour vision, and on light and dark ground."""


def render_tables(plane: Plane) -> str:
    """The measured ways and what batches cost, as Markdown."""
    rows = groupby(plane.batches, key=lambda cost: (cost.name, cost.lengths, cost.lengths == "equal" and cost.tokens))
    costs = [list(row) for _, row in rows]
    return render_template("plane.md.j2", plane=plane, same=_SAME, sizes=SIZES, costs=costs)


def _dot(number: int, way: Measured) -> go.Scatter:
    colour = _FRONT if way.on_front else _LOSER
    return go.Scatter(
        x=[way.p50_ms],
        y=[way.macro_f1],
        name=f"{number} {way.name}{' (ships)' if way.ships else ''}",
        mode="markers+text",
        text=[str(number)],
        textposition="top center",
        textfont={"color": colour},
        marker={"color": colour, "size": 14 if way.ships else 9, "symbol": "star" if way.ships else "circle"},
    )


def draw_plane(plane: Plane) -> go.Figure:
    """Every way as a numbered dot, faster to the left and better to the top; those that no other beats are joined."""
    front = sorted((way for way in plane.ways if way.on_front), key=lambda way: way.p50_ms)
    figure = go.Figure([_dot(number, way) for number, way in enumerate(plane.ways, start=1)])
    figure.add_scatter(
        x=[way.p50_ms for way in front],
        y=[way.macro_f1 for way in front],
        name="none is faster and better",
        mode="lines",
        line={"color": _FRONT, "shape": "hv", "width": 1},
    )
    figure.update_layout(
        template="plotly_white",
        width=WIDTH_PX,
        height=HEIGHT_PX,
        title=f"Latency and quality of every way that was tried ({plane.posts} development posts, {plane.processor})",
        xaxis={"title": "milliseconds for a post on one thread, median", "rangemode": "tozero"},
        yaxis={"title": "macro-F1 of the routes"},
    )
    return figure


def write_plane(plane: Plane, directory: Path) -> str | None:
    """Why there is no picture, or nothing; `directory` then holds the JSON, the page and, where it can be taken, it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / JSON_FILE).write_bytes(_PLANE.dump_json(plane, indent=1) + b"\n")
    page, picture = directory / PAGE_FILE, directory / PICTURE_FILE
    picture.unlink(missing_ok=True)  # an older one would be of other figures
    draw_plane(plane).write_html(page)
    return take_picture(page, picture, WIDTH_PX, HEIGHT_PX)


def read_plane(path: Path) -> Plane:
    """The plane that `write_plane` left in a file.

    Raises:
        OSError: when it cannot be read.
        TrainingError: when it is no such file.
    """
    try:
        return _PLANE.validate_json(path.read_bytes())
    except ValidationError as error:
        raise TrainingError(
            f"The plane {path} could not be read: {error.error_count()} of its values do not fit. Wanted: what "
            "`python -m training plane` of this version wrote. Measure it again."
        ) from None


def put_plane(plane: Plane, directory: Path, page: Path) -> None:
    """Nothing; `page` has the tables between its marks, and the picture of `directory`, which is put beside it.

    Raises:
        OSError: when the page cannot be read or written.
        MarksError: when the page has no marks.
    """
    figures, picture = render_tables(plane), directory / PICTURE_FILE
    if picture.is_file():
        beside = page.with_suffix(picture.suffix)
        beside.write_bytes(picture.read_bytes())
        figures = f"![{_ALT}]({beside.name})\n\n{figures}"
    page.write_text(put_between(page.read_text(encoding="utf-8"), MARKS, figures), encoding="utf-8")
