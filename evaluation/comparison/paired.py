"""Two models on the same posts: paired differences with intervals, and exact tests of who is right where they differ.

A difference is challenger minus champion. Both are drawn with the same groups in every draw of the bootstrap, so that
what is hard for both cancels out. McNemar 1947; the exact form is a binomial test of the posts on which one is right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from data.dependencies import needs_group
from evaluation.metrics import bootstrap, group_draws, percentile_ends, tallied_accuracy, tallied_macro_f1, tally
from evaluation.predictions import BoolArray, IntArray, Predictions
from evaluation.risk import augrc
from models.calibration import FloatArray

with needs_group("evaluate", "Comparing two bundles"):
    from scipy.stats import binomtest

Figure = Callable[[FloatArray], FloatArray]
"""From totals `[b, c]` to values `[b]`."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of both, and challenger minus champion with its 95 % interval."""

    champion: float
    challenger: float
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class McNemar:
    """Posts that the challenger alone gets right (`mended`) and wrong (`broken`), and the exact two-sided p-value."""

    mended: int
    broken: int
    p_value: float


def mcnemar(champion_right: BoolArray, challenger_right: BoolArray) -> McNemar:
    """The exact test that both are wrong equally often, over `[n]` posts; p is 1 where they never differ."""
    mended = int((~champion_right & challenger_right).sum())
    broken = int((champion_right & ~challenger_right).sum())
    p = float(binomtest(broken, mended + broken, 0.5).pvalue) if mended + broken else 1.0
    return McNemar(mended, broken, p)


def harm(champion_right: BoolArray, challenger_right: BoolArray) -> float:
    """The exact one-sided p-value of "the challenger is wrong no more often"; small where it is."""
    broken = int((champion_right & ~challenger_right).sum())
    mended = int((~champion_right & challenger_right).sum())
    return float(binomtest(broken, mended + broken, 0.5, alternative="greater").pvalue) if mended + broken else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number, in their order (Holm 1979): all hold together at the level of one."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda each: p_values[each])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def _difference(champion: FloatArray, challenger: FloatArray, groups: IntArray, figure: Figure) -> Difference:
    """From what each post adds to the totals of both, `[n, c]`."""
    k = champion.shape[1]
    counts = np.hstack([champion, challenger])
    low, high = bootstrap(counts, groups, lambda totals: figure(totals[:, k:]) - figure(totals[:, :k]))
    values = [float(figure(each.sum(axis=0, keepdims=True))[0]) for each in (champion, challenger)]
    return Difference(values[0], values[1], values[1] - values[0], float(low), float(high))


def mean_difference(
    champion: FloatArray | BoolArray, challenger: FloatArray | BoolArray, groups: IntArray
) -> Difference:
    """Of the means of a value of each post, `[n]`."""
    columns = [np.column_stack([each.astype(np.float64), np.ones(len(each))]) for each in (champion, challenger)]
    return _difference(columns[0], columns[1], groups, lambda totals: totals[:, 0] / totals[:, 1])


def label_difference(
    true: IntArray, champion: IntArray, challenger: IntArray, classes: int, groups: IntArray, *, macro: bool
) -> Difference:
    """Of macro-F1 or, where not `macro`, of accuracy; labels `[n]` are places among so many classes."""
    of = tallied_macro_f1 if macro else tallied_accuracy
    both = [tally(true, said, classes).reshape(-1, 3 * classes) for said in (champion, challenger)]
    return _difference(both[0], both[1], groups, lambda totals: of(totals.reshape(-1, 3, classes)))


def brier_difference(champion: FloatArray, challenger: FloatArray, true: IntArray, groups: IntArray) -> Difference:
    """Of the Brier scores (0 to 2) of probabilities `[n, k]`; above 0 the challenger is worse."""
    scores = [((each - np.eye(each.shape[1])[true]) ** 2).sum(axis=1) for each in (champion, challenger)]
    return mean_difference(scores[0], scores[1], groups)


def _augrc_of(confidence: FloatArray, wrong: BoolArray, weights: FloatArray) -> FloatArray:
    """AUGRC of every draw `[b]`, where each of the `[n]` posts counts `weights` `[b, n]` times."""
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    posts = weights.sum(axis=1, keepdims=True)
    kept = np.cumsum(weights[:, order], axis=1)[:, last] / posts
    risk = np.cumsum(weights[:, order] * wrong[order], axis=1)[:, last] / posts
    kept, risk = (np.hstack([np.zeros((len(weights), 1)), each]) for each in (kept, risk))
    return np.asarray((np.diff(kept, axis=1) * (risk[:, 1:] + risk[:, :-1]) / 2).sum(axis=1), dtype=np.float64)


def augrc_difference(champion: Predictions, challenger: Predictions) -> Difference:
    """Of AUGRC of the routes by confidence (arXiv 2407.01032); above 0 the challenger is worse."""
    both = (champion, challenger)
    sides = [(each.route_probabilities.max(axis=1), each.predicted_routes != each.routes) for each in both]
    _, places = np.unique(champion.groups, return_inverse=True)
    drawn = [
        _augrc_of(*sides[1], draws[:, places]) - _augrc_of(*sides[0], draws[:, places])
        for draws in group_draws(int(places.max()) + 1)
    ]
    low, high = percentile_ends(np.concatenate(drawn))
    values = [augrc(*side) for side in sides]
    return Difference(values[0], values[1], values[1] - values[0], float(low), float(high))
