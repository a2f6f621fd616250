"""The diagrams of the risk monitor: the capital against the alarm line, and the interval for the risk."""

import math

import numpy as np

from serving.workbench.charts import TICKS, Chart, Line, Ticks, at_x, at_y, round_up, share_ticks
from serving.workbench.risk.state import State

_POINTS = 160
"""Closer together than pixels."""
_LEAST_POWER = -3
"""A capital under a thousandth is drawn as that: it says no more."""


def _x_ticks(most: int) -> Ticks:
    return tuple((at_x(step / TICKS), f"{round(most * step / TICKS):,}") for step in range(TICKS + 1))


def capital(state: State) -> Chart | None:
    """The running e-value on a scale of powers of ten, beside the line at which it is an alarm."""
    if state.watched is None:
        return None
    powers = np.maximum(state.watched.log_e / math.log(10), _LEAST_POWER)
    line = math.log10(state.line)
    low = min(-1.0, math.floor(float(powers.min())))
    high = max(math.ceil(line), math.ceil(float(powers.max())))
    places = np.unique(np.linspace(0, len(powers) - 1, min(_POINTS, len(powers))).astype(int)).tolist()
    end = max(len(powers) - 1, 1)
    told = "an alarm was raised" if state.alarm_at else "no alarm"

    def y(power: float) -> float:
        return at_y(power - low, high - low)

    return Chart(
        title="The capital of the bet against the promise",
        words=f"The running e-value over {state.counted} automatic answers: now {state.e_value:.3g}, {told}; the "
        f"alarm line is at {state.line:.3g}.",
        x_title="automatic answers",
        y_title="e-value",
        x_ticks=_x_ticks(state.counted),
        y_ticks=tuple((y(power), f"{10.0**power:g}") for power in range(int(low), int(high) + 1)),
        lines=(
            Line(f"alarm at {state.line:.3g}", "two", ((at_x(0), y(line)), (at_x(1), y(line)))),
            Line("e-value", "one", tuple((at_x(place / end), y(float(powers[place]))) for place in places)),
        ),
    )


def interval(state: State) -> Chart | None:
    """The interval for the share of wrong automatic answers after each of them, beside the promise."""
    found = state.sequence
    if found is None:
        return None
    shown = slice(len(found.places) // 20, None)  # at first it is nearly all from 0 to 1, and would hide the rest
    most = round_up(max(float(found.high[shown].max()), 1.2 * state.promise))
    end = float(found.places[-1])

    def points(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[tuple[float, float], ...]:
        pairs = zip(found.places[shown].tolist(), values[shown].tolist(), strict=True)
        return tuple((at_x(place / end), at_y(value, most)) for place, value in pairs)

    return Chart(
        title="Wrong automatic answers",
        words=f"The share of wrong automatic answers lies between {found.low[-1]:.1%} and {found.high[-1]:.1%}; "
        f"promised is at most {state.promise:.1%}.",
        x_title="automatic answers",
        y_title="share that is wrong",
        x_ticks=_x_ticks(state.counted),
        y_ticks=share_ticks(across=False, most=most),
        lines=(
            Line("promise", "plain", ((at_x(0), at_y(state.promise, most)), (at_x(1), at_y(state.promise, most)))),
            Line("at least, at most", "one", points(found.high)),
            Line("", "one", points(found.low)),
            Line("estimate", "two", points(found.estimate)),
        ),
    )
