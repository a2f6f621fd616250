"""Is this hour out of the ordinary? Counts against the same hour of earlier weeks. Owns the baseline and its bound.

After Farrington et al. 1996 and Noufaily et al. 2013 ("An improved algorithm for outbreak detection in multiple
surveillance systems", Statistics in Medicine 32), cut down to what an hour of posts needs: counts that vary more than
Poisson by one factor for all hours, a rate that is itself known from a few weeks only, and the negative binomial
quantile that follows from both.
"""

from dataclasses import dataclass

import numpy as np

from data.dependencies import needs_group
from evaluation.predictions import BoolArray, IntArray
from models.calibration import FloatArray

with needs_group("evaluate", "Looking for spikes"):
    from scipy.stats import nbinom

LEAST_POSTS = 5
"""An hour with fewer is no spike, however quiet earlier weeks were: nobody is to be called for four posts."""
_PRIOR_POSTS = 0.5
"""Jeffreys' prior of a Poisson rate: an hour that never had a post is not impossible now."""


@dataclass(frozen=True, slots=True, eq=False)
class Spikes:
    """Of `[h]` hours: the posts expected, the most that are ordinary, and whether there were more.

    `dispersion` is how many times as much the counts vary as Poisson's would, 1 or more.
    """

    expected: FloatArray
    bound: FloatArray
    is_spike: BoolArray
    dispersion: float


def _check(counts: IntArray, weeks: IntArray, elapsed: FloatArray, false_alarm: float) -> None:
    if weeks.ndim != 2 or weeks.shape[1] < 2 or not len(counts) == len(weeks) == len(elapsed):
        raise ValueError(
            f"No spike was looked for: got {len(counts)} hours, {len(elapsed)} shares of them and earlier weeks of "
            f"shape {list(weeks.shape)}. Wanted: [hours, weeks] with at least two weeks. Wait for a second week, or "
            "give every hour its own earlier ones."
        )
    if (counts < 0).any() or (weeks < 0).any() or not ((elapsed > 0) & (elapsed <= 1)).all() or not 0 < false_alarm < 1:
        raise ValueError(
            "No spike was looked for: a count is negative, a share of an hour is not over 0 up to 1, or the rate of "
            f"false alarms ({false_alarm}) not between 0 and 1. Correct them."
        )


def dispersion_of(weeks: IntArray) -> float:
    """How many times as much counts `[h, w]` vary from week to week as Poisson's would, at least 1.

    Pearson's statistic over its degrees of freedom, over all hours together: a single hour has too few weeks for it.
    """
    means = weeks.mean(axis=1, keepdims=True)
    lively = means[:, 0] > 0
    if not lively.any():
        return 1.0
    squares = ((weeks[lively] - means[lively]) ** 2 / means[lively]).sum()
    return max(1.0, float(squares / (lively.sum() * (weeks.shape[1] - 1))))


def find_spikes(
    counts: IntArray, weeks: IntArray, *, elapsed: FloatArray | None = None, false_alarm: float = 0.001
) -> Spikes:
    """Which of `[h]` hours have more posts than the same hours of earlier weeks, `[h, w]`, lead to expect.

    `elapsed` `[h]` is how much of each hour has passed (over 0 up to 1; by default all), so that the running hour can
    be judged. An ordinary hour is called a spike with a chance of about `false_alarm`: one in 1,000 is one in six weeks
    for whoever watches one count by the hour.

    Raises:
        ValueError: when the shapes do not fit, or a number is out of its range.
    """
    passed = np.ones(len(counts)) if elapsed is None else elapsed
    _check(counts, weeks, passed, false_alarm)
    spread = dispersion_of(weeks)
    share = passed / weeks.shape[1]
    mean = (weeks.sum(axis=1) + _PRIOR_POSTS) * share
    # Of the next count: its own spread, and that of a mean known from so few weeks. At 1 this is Poisson's with a
    # gamma rate, exactly.
    times = spread * (1 + share)
    ordinary = nbinom.ppf(1 - false_alarm, mean / (times - 1), 1 / times)
    bound = np.maximum(np.asarray(ordinary, dtype=np.float64), LEAST_POSTS - 1)
    return Spikes(
        expected=np.asarray(weeks.mean(axis=1) * passed, dtype=np.float64),
        bound=bound,
        is_spike=np.asarray(counts > bound),
        dispersion=spread,
    )
