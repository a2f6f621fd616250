"""The picture that the pages' diagrams share: its size, its axes and what is drawn in it, which a template turns into
SVG. Draws nothing itself.
"""

import math
from dataclasses import dataclass

WIDTH, HEIGHT = 480.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 24.0, 12.0, 44.0
TICKS = 5
"""Parts of an axis."""
Point = tuple[float, float]
Ticks = tuple[tuple[float, str], ...]
"""Places in pixels, each with its text."""


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: its name, its colour by class, and its points in pixels."""

    name: str
    colour: str
    points: tuple[Point, ...]
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar in pixels, with what it says."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A diagram; `words` says what is on it to those who cannot see it. Ticks are a place in pixels and a text."""

    title: str
    words: str
    x_title: str
    y_title: str
    x_ticks: Ticks
    y_ticks: Ticks
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()


def at_x(share: float) -> float:
    """The pixel of a share of the axis, 0 at its left end."""
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def at_y(value: float, most: float) -> float:
    """The pixel of a value on an axis that ends at `most`, 0 at its foot."""
    return round(HEIGHT - BOTTOM - value / most * (HEIGHT - TOP - BOTTOM), 1)


def round_up(value: float) -> float:
    """The end of an axis that holds `value`, and whose fifths are figures that one can read."""
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0) if step * size >= value)


def share_ticks(*, across: bool, most: float = 1.0) -> Ticks:
    """The marks of an axis of shares that ends at `most`, across the picture or up."""
    steps = [step / TICKS for step in range(TICKS + 1)]
    return tuple((at_x(step) if across else at_y(step * most, most), f"{100 * step * most:.3g} %") for step in steps)
