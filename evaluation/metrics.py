"""How often the labels are right, and how honest the probabilities are. Owns classification and calibration figures.

Every per-class figure comes from tallies over explicit labels, so a class that is absent keeps its name and its place.
Macro-F1 is the mean over the classes that truly occur; the absent ones are listed by name.
Intervals are cluster bootstraps: groups are drawn, not posts, because posts of a group are not independent.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from data.dependencies import needs_group
from evaluation.predictions import BoolArray, IntArray
from models.calibration import FloatArray

with needs_group("evaluate", "Measuring predictions"):
    from scipy.stats import binomtest

BOOTSTRAP_DRAWS = 1_000
BOOTSTRAP_SEED = 2026
INTERVAL_CONFIDENCE = 0.95
ECE_BINS = 15
"""Guo et al. 2017 (arXiv 1706.04599), section 4."""
_DRAWS_AT_ONCE = 100
"""Keeps the counts of all intents in a few megabytes."""
_KEPT_DRAWS = 2
"""Numbers of groups whose draws are kept: a summary has many intervals over the same posts, and drawing is most of
their time."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and the interval that covers it with 95 % confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Precision, recall and F1 of one class, 0 to 1, and how many posts truly have it.

    `precision` is `None` where the class was never predicted, `recall` and `f1` where it never truly occurs.
    """

    label: str
    precision: Estimate | None
    recall: Estimate | None
    f1: Estimate | None
    support: int


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """The figures of a head: over all posts, and of each class in the order of its labels."""

    accuracy: Estimate
    macro_f1: Estimate
    classes: tuple[ClassFigures, ...]


def confusion(true: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """The confusion matrix `[classes, classes]`: rows are true labels, columns predicted ones, both `[n]`."""
    counts = np.bincount(true * classes + predicted, minlength=classes * classes)
    return np.asarray(counts.reshape(classes, classes), dtype=np.int64)


def tally(true: IntArray, predicted: IntArray, classes: int) -> FloatArray:
    """What each post adds to the tallies of all classes, `[n, 3, k]`: right, truly of it, said to be of it.

    All that precision, recall and accuracy need, in room that grows with the classes and not with their square.
    """
    ones = np.eye(classes)
    return np.stack([ones[true] * (true == predicted)[:, None], ones[true], ones[predicted]], axis=1)


def class_scores(tallies: FloatArray) -> FloatArray:
    """Precision, recall and F1 of each class `[..., 3, k]` from sums of tallies `[..., 3, k]`; NaN if undefined."""
    hits, true, said = np.moveaxis(tallies, -2, 0)
    precision = np.where(said > 0, hits / np.maximum(said, 1), np.nan)
    recall = np.where(true > 0, hits / np.maximum(true, 1), np.nan)
    f1 = np.where(true > 0, 2 * hits / np.maximum(true + said, 1), np.nan)
    return np.stack([precision, recall, f1], axis=-2)


def tallied_macro_f1(tallies: FloatArray) -> FloatArray:
    """The mean F1 `[...]` over the classes that truly occur, from sums of tallies `[..., 3, k]`; 0 without posts."""
    scores = class_scores(tallies)[..., 2, :]
    return np.asarray(np.nansum(scores, axis=-1) / np.maximum((~np.isnan(scores)).sum(axis=-1), 1), dtype=np.float64)


def tallied_accuracy(tallies: FloatArray) -> FloatArray:
    """The share of posts that are right `[...]`, from sums of tallies `[..., 3, k]`; 0 without posts."""
    hits, true, _ = np.moveaxis(tallies.sum(axis=-1), -1, 0)
    return np.asarray(hits / np.maximum(true, 1), dtype=np.float64)


def macro_f1(true: IntArray, predicted: IntArray, labels: Sequence[str]) -> float:
    """The mean F1 over those `labels` that truly occur; `true` and `predicted` `[n]` are places in `labels`."""
    return float(tallied_macro_f1(tally(true, predicted, len(labels)).sum(axis=0)))


def accuracy(true: IntArray, predicted: IntArray) -> float:
    """The share of `[n]` labels that are right; 0 without posts."""
    return float((true == predicted).mean()) if len(true) else 0.0


def exact_share(events: int, trials: int) -> Estimate:
    """The share of `events` in `trials` with the exact (Clopper-Pearson) interval: a bootstrap of no event has none.

    Without a trial nothing is known: 0, and 0 to 1.
    """
    if not trials:
        return Estimate(0.0, 0.0, 1.0)
    interval = binomtest(events, trials).proportion_ci(INTERVAL_CONFIDENCE, method="exact")
    return Estimate(events / trials, float(interval.low), float(interval.high))


@lru_cache(maxsize=_KEPT_DRAWS)
def _draws(groups: int) -> tuple[npt.NDArray[np.unsignedinteger[Any]], ...]:
    """The draws of `group_draws` in as few bytes as hold them: 6 MB for 3,000 groups."""
    random = np.random.default_rng(BOOTSTRAP_SEED)
    even = np.full(groups, 1 / groups)
    return tuple(
        random.multinomial(groups, even, size=_DRAWS_AT_ONCE).astype(np.min_scalar_type(groups))
        for _ in range(BOOTSTRAP_DRAWS // _DRAWS_AT_ONCE)
    )


def group_draws(groups: int) -> Iterator[FloatArray]:
    """How often each of so many groups is drawn, with replacement: 1,000 draws as arrays `[b, groups]`.

    The same draws every time (fixed seed), so figures of two models on the same posts are paired.
    """
    return (draws.astype(np.float64) for draws in _draws(groups))


def percentile_ends(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The ends of the 95 % percentile interval over the first axis of `[draws, ...]`; NaN is left out."""
    tail = (1 - INTERVAL_CONFIDENCE) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail], axis=0)
    return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)


def bootstrap(
    counts: FloatArray | IntArray, groups: IntArray, figure: Callable[[FloatArray], FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """The ends of the 95 % percentile interval of `figure`, by drawing groups with replacement, 1,000 times.

    `counts` `[n, c]` are what each post adds to the totals; `figure` maps totals `[b, c]` to values `[b, ...]`.
    `groups` `[n]` are the numbers of the posts' groups. The same input gives the same interval (fixed seed). A draw in
    which the figure is not defined (NaN) is left out.
    """
    order = np.argsort(groups, kind="stable")
    numbers, starts = np.unique(groups[order], return_index=True)
    totals = np.add.reduceat(counts[order], starts, axis=0)
    return percentile_ends(np.concatenate([figure(draws @ totals) for draws in group_draws(len(numbers))]))


def label_figures(true: IntArray, predicted: IntArray, labels: Sequence[str], groups: IntArray) -> LabelFigures:
    """All figures of `[n]` labels, places in `labels`, whether each occurs or not; one bootstrap for all intervals."""
    k = len(labels)
    counts = tally(true, predicted, k).reshape(-1, 3 * k)

    def figures(totals: FloatArray) -> FloatArray:
        tallies = totals.reshape(-1, 3, k)
        scores = class_scores(tallies).reshape(-1, 3 * k)
        return np.column_stack([scores, tallied_accuracy(tallies), tallied_macro_f1(tallies)])

    totals = counts.sum(axis=0)
    values = figures(totals[None])[0]
    known = ~np.isnan(values)
    ends = bootstrap(counts, groups, lambda drawn: figures(drawn)[:, known])
    found = zip(np.flatnonzero(known).tolist(), values[known], *ends, strict=True)
    known_at = {place: Estimate(float(value), float(low), float(high)) for place, value, low, high in found}
    return LabelFigures(
        accuracy=known_at[3 * k],
        macro_f1=known_at[3 * k + 1],
        classes=tuple(
            ClassFigures(label, known_at.get(at), known_at.get(k + at), known_at.get(2 * k + at), int(totals[k + at]))
            for at, label in enumerate(labels)
        ),
    )


def estimate_share(is_so: BoolArray, groups: IntArray) -> Estimate:
    """The share of `[n]` posts of which something is so, with its bootstrap interval."""
    counts = np.stack([is_so, np.ones_like(is_so)], axis=1).astype(np.int64)
    low, high = bootstrap(counts, groups, lambda totals: totals[:, 0] / totals[:, 1])
    return Estimate(float(is_so.mean()), float(low), float(high))


@dataclass(frozen=True, slots=True)
class Bin:
    """Posts of similar confidence: how sure the model was on average, and how often it was right."""

    low: float
    high: float
    posts: int
    confidence: float
    accuracy: float


def _bins(confidence: FloatArray, right: BoolArray, members: Sequence[IntArray]) -> tuple[Bin, ...]:
    return tuple(
        Bin(
            low=float(confidence[rows].min()),
            high=float(confidence[rows].max()),
            posts=len(rows),
            confidence=float(confidence[rows].mean()),
            accuracy=float(right[rows].mean()),
        )
        for rows in members
        if len(rows)
    )


def equal_mass_places(confidence: FloatArray, bins: int = ECE_BINS) -> IntArray:
    """The number of the bin of each of `[n]` posts, `bins` of (nearly) equally many, from the least confident."""
    places = np.empty(len(confidence), dtype=np.int64)
    for number, rows in enumerate(np.array_split(np.argsort(confidence, kind="stable"), bins)):
        places[rows] = number
    return places


def equal_mass_bins(confidence: FloatArray, right: BoolArray, bins: int = ECE_BINS) -> tuple[Bin, ...]:
    """Bins of (nearly) equally many of the `[n]` posts, from the least to the most confident."""
    places = equal_mass_places(confidence, bins)
    return _bins(confidence, right, [np.flatnonzero(places == place) for place in range(bins)])


def equal_width_bins(confidence: FloatArray, right: BoolArray, bins: int = ECE_BINS) -> tuple[Bin, ...]:
    """Bins `(i/bins, (i+1)/bins]` of confidence, the empty ones left out."""
    places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return _bins(confidence, right, [np.flatnonzero(places == place) for place in range(bins)])


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """The mean distance between confidence and accuracy, 0 to 1, weighted by posts; 0 without posts."""
    posts = sum(each.posts for each in bins)
    return sum(each.posts * abs(each.confidence - each.accuracy) for each in bins) / max(posts, 1)


def brier(probabilities: FloatArray, true: IntArray) -> float:
    """The multi-class Brier score, 0 to 2: mean squared distance of `[n, k]` from the true labels `[n]`."""
    truth = np.eye(probabilities.shape[1])[true]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean()) if len(true) else 0.0


def log_loss(probabilities: FloatArray, true: IntArray) -> float:
    """The mean of -log p(true label), in nats, of `[n, k]` and labels `[n]`."""
    said = probabilities[np.arange(len(true)), true]
    return float(-np.log(np.maximum(said, np.finfo(np.float64).tiny)).mean()) if len(true) else 0.0
