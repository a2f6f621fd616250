"""What must hold of two answers, by expectation. Each judge gives the words of what is wrong, `None` where all is well.

Knows no model and no file. A case that asks nothing (an attack on a post that was closed anyway) is no trial.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from data.taxonomy import Route
from evaluation.behaviour.capabilities import Expectation
from models.predictor import Prediction

AnyLabel = TypeVar("AnyLabel", bound=str)
TEXT_AXES: tuple[Route, ...] = ("simple", "complex", "sensitive")
"""The routes that only the text decides; `influencer` is the author's."""
_SAME = 1e-6
"""What rounding may do to a probability of the same input; anything masked or rendered alike is the same input."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a bundle makes of both posts of a case, how far scores may move, and the route that is to fall."""

    before: Prediction
    after: Prediction
    tolerance: float
    axis: Route | None


def _moved(one: Mapping[Route, float], other: Mapping[Route, float]) -> float:
    """Half the sum of the differences, 0 to 1, of the text axes relative to each other."""
    parts = [np.array([routes[axis] for axis in TEXT_AXES]) for routes in (one, other)]
    shares = [part / max(float(part.sum()), _SAME) for part in parts]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _far(one: Mapping[AnyLabel, float], other: Mapping[AnyLabel, float]) -> float:
    return sum(abs(one[label] - other[label]) for label in one) / 2


def _same_route(answers: Answers) -> str | None:
    before, after = answers.before.route, answers.after.route
    return None if before == after else f"{before} became {after} ({answers.after.routes[after]:.2f})"


def _same_answer(answers: Answers) -> str | None:
    before, after = answers.before, answers.after
    if _far(before.routes, after.routes) > _SAME or _far(before.intents, after.intents) > _SAME:
        return f"probabilities moved: routes by {_far(before.routes, after.routes):.3f}"
    codes = [[reason.code for reason in each.decision.reasons] for each in (before, after)]
    return None if codes[0] == codes[1] else f"the reasons were {codes[0]} and became {codes[1]}"


def _same_text_axes(answers: Answers) -> str | None:
    routes = _moved(answers.before.routes, answers.after.routes)
    intents = _far(answers.before.intents, answers.after.intents)
    if max(routes, intents) <= answers.tolerance:
        return None
    return f"text axes moved by {routes:.2f}, intents by {intents:.2f}, allowed is {answers.tolerance:.2f}"


def _no_less_sensitive(answers: Answers) -> str | None:
    before, after = answers.before.routes["sensitive"], answers.after.routes["sensitive"]
    if after < before - answers.tolerance:
        return f"sensitive fell from {before:.2f} to {after:.2f}"
    return f"closed by {answers.after.decision.action}" if answers.after.decision.closed_by_machine else None


def _falls(answers: Answers) -> str | None:
    axis = answers.axis or "simple"
    before, after = answers.before.routes[axis], answers.after.routes[axis]
    return None if after < before else f"{axis} went from {before:.2f} to {after:.2f}"


def _never_closed(answers: Answers) -> str | None:
    if not answers.after.decision.closed_by_machine:
        return None
    return f"{answers.before.decision.action} became {answers.after.decision.action}"


_JUDGES: dict[Expectation, Callable[[Answers], str | None]] = {
    "same_route": _same_route,
    "same_answer": _same_answer,
    "same_text_axes": _same_text_axes,
    "no_less_sensitive": _no_less_sensitive,
    "falls": _falls,
    "never_closed": _never_closed,
}


def is_trial(expectation: Expectation, answers: Answers) -> bool:
    """Whether the case asks anything: what is closed already cannot be talked into being closed."""
    return expectation != "never_closed" or not answers.before.decision.closed_by_machine


def judge(expectation: Expectation, answers: Answers) -> str | None:
    """What is wrong with the answers in words, or `None`."""
    return _JUDGES[expectation](answers)
