"""The diagrams of the cockpit as paths in a picture of fixed size, which a template turns into SVG. Draws nothing.

A series is one path, however many bars it has: the pictures are sent again and again.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf

from data.taxonomy import ROUTES
from serving.journal.queries import LATENCY_BOUNDS_MS
from serving.journal.tallies import Tally
from serving.workbench.charts import LEFT, RIGHT, WIDTH, Ticks, at_y
from serving.workbench.cockpit.figures import ACTIONS, latency_bins
from serving.workbench.cockpit.ledger import DAY_S, HOUR_S, Bar, Span
from serving.workbench.cockpit.surges import Hour

_PLOT = WIDTH - LEFT - RIGHT
_STEPS = 4
"""Lines of a grid at most, so that a small screen can show what they stand for."""
COLOURS: Mapping[str, str] = {
    "simple": "one",
    "complex": "four",
    "influencer": "three",
    "sensitive": "two",
    "auto_answer": "one",
    "no_reply": "three",
    "agent": "four",
    "specialist": "two",
}


@dataclass(frozen=True, slots=True)
class Series:
    """A path, its class of colour, and what it is called."""

    name: str
    colour: str
    path: str
    is_line: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A diagram; `words` says what is on it to those who cannot see it. Ticks are a place in pixels and a text."""

    words: str
    x_ticks: Ticks
    y_ticks: Ticks
    series: tuple[Series, ...]


def _scale(most: float) -> tuple[float, Ticks]:
    """The end of an axis of whole numbers that holds `most`, and its lines."""
    size = 10.0 ** math.floor(math.log10(max(most, 1) / _STEPS)) if most > _STEPS else 1.0
    step = next(each * size for each in (1, 2, 5, 10) if each * size * _STEPS >= most)
    lines = max(1, math.ceil(most / step))
    end = step * lines
    return end, tuple((at_y(place, lines), f"{place * step:,.0f}") for place in range(lines + 1))


def clock(when: datetime, span: Span) -> str:
    """When a bar begins, as a table says it."""
    if span.bar_s == DAY_S:
        return f"{when:%a %d %b}"
    return f"{when:%H:%M}" if span.bar_s < HOUR_S or span.bars <= 24 else f"{when:%a %d, %H:%M}"


def _times(bars: Sequence[Bar], span: Span) -> Ticks:
    """Some of the times at which bars begin: every quarter of an hour, every six hours, every day or every week."""
    width, found = _PLOT / len(bars), []
    for place, bar in enumerate(bars):
        at, hour = bar.since, bar.since.hour
        words = {
            "hour": f"{at:%H:%M}" if at.minute % 15 == 0 else "",
            "day": f"{at:%H:%M}" if hour % 6 == 0 else "",
            "week": f"{at:%a}" if hour == 0 else "",
            "month": f"{at:%d %b}" if at.weekday() == 0 else "",
        }[span.name]
        if words:
            found.append((round(LEFT + (place + 0.5) * width, 1), words))
    return tuple(found)


def _bar_path(heights: Sequence[tuple[float, float]], end: float) -> str:
    """Bars side by side, each from the first to the second of its heights."""
    width = _PLOT / len(heights)
    thick = round(max(width - 1, width * 0.7), 2)
    return "".join(
        f"M{LEFT + place * width:.1f} {at_y(low, end)}h{thick}V{at_y(high, end)}h-{thick}z"
        for place, (low, high) in enumerate(heights)
        if high > low
    )


def _line_path(shares: Sequence[float | None]) -> str:
    """A line through the middles of the bars, with a gap where there is no share; one alone is a dot."""
    width, path, is_open = _PLOT / max(1, len(shares)), [], False
    for place, share in enumerate(shares):
        if share is not None:
            point = f"{LEFT + (place + 0.5) * width:.1f} {at_y(share, 1)}"
            path.append(f"L{point}" if is_open else f"M{point}h0")
        is_open = share is not None
    return "".join(path)


def stacked(bars: Sequence[Bar], span: Span, names: Sequence[str], of: Callable[[Tally], Mapping[str, int]]) -> Picture:
    """Posts by time, one colour a name, one upon the other."""
    end, lines = _scale(max(bar.tally.posts for bar in bars))
    low, series, told = [0] * len(bars), [], []
    for name in names:
        counts = [of(bar.tally).get(name, 0) for bar in bars]
        high = [under + count for under, count in zip(low, counts, strict=True)]
        series.append(Series(name, COLOURS[name], _bar_path(list(zip(low, high, strict=True)), end)))
        told.append(f"{sum(counts)} {name}")
        low = high
    words = f"{span.words}: {', '.join(told)}; at most {max(low)} in one bar."
    return Picture(words, _times(bars, span), lines, tuple(series))


def by_route(bars: Sequence[Bar], span: Span) -> Picture:
    """Posts by time and route."""
    return stacked(bars, span, ROUTES, lambda tally: tally.routes)


def by_action(bars: Sequence[Bar], span: Span) -> Picture:
    """Posts by time and action."""
    return stacked(bars, span, ACTIONS, lambda tally: tally.actions)


def shares(bars: Sequence[Bar], span: Span) -> Picture:
    """What share the machine closed, abstained from, and was decided in time, by time."""
    lines = (
        ("closed by the machine", "one", [bar.tally.closed_share for bar in bars]),
        ("abstained", "two", [bar.tally.abstained_share for bar in bars]),
        ("within 15 minutes", "four", [bar.tally.in_time_share for bar in bars]),
    )
    newest = [(name, [each for each in values if each is not None][-1:]) for name, _, values in lines]
    words = ", ".join(f"{name} {values[0]:.0%}" if values else f"{name} nothing" for name, values in newest)
    return Picture(
        f"{span.words}. In the newest bar with posts: {words}.",
        _times(bars, span),
        tuple((at_y(step, _STEPS), f"{step / _STEPS:.0%}") for step in range(_STEPS + 1)),
        tuple(Series(name, colour, _line_path(values), is_line=True) for name, colour, values in lines),
    )


def latency(tally: Tally) -> Picture:
    """Posts by how long their request took."""
    bins = latency_bins(tally)
    end, lines = _scale(max(each.posts for each in bins))
    width = _PLOT / len(bins)
    marked = (1.0, 5.0, 25.0, 100.0, 500.0, 2_500.0)
    ticks = tuple(
        (round(LEFT + (place + 1) * width, 1), f"{bound:g} ms" if bound < 1_000 else f"{bound / 1_000:g} s")
        for place, bound in enumerate(LATENCY_BOUNDS_MS)
        if bound in marked
    )
    most = max(bins, key=lambda each: each.posts)
    where = "over all bounds" if most.most == inf else f"up to {most.most:g} ms"
    return Picture(
        f"Posts by how long their request took; the most, {most.posts}, are in the bin {where}.",
        ticks,
        lines,
        (Series("posts", "one", _bar_path([(0, each.posts) for each in bins], end)),),
    )


def last_hours(hours: Sequence[Hour]) -> Picture:
    """Posts by hour, and the most that is ordinary in each."""
    end, lines = _scale(max(max(each.posts, each.bound) for each in hours))
    width = _PLOT / len(hours)
    steps = "".join(
        f"{'L' if place else 'M'}{LEFT + place * width:.1f} {at_y(each.bound, end)}h{width:.1f}"
        for place, each in enumerate(hours)
    )
    spikes = [f"{each.since:%H:%M}" for each in hours if each.is_spike]
    told = f"more than is ordinary at {', '.join(spikes)}" if spikes else "none of them out of the ordinary"
    return Picture(
        f"Posts of the last {len(hours)} hours: {told}.",
        tuple(
            (round(LEFT + (place + 0.5) * width, 1), f"{each.since:%H:%M}")
            for place, each in enumerate(hours)
            if each.since.hour % 6 == 0
        ),
        lines,
        (
            Series("posts", "one", _bar_path([(0, each.posts) for each in hours], end)),
            Series("the most that is ordinary", "two", steps, is_line=True),
        ),
    )
