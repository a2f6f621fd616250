"""How an error falls with the number of labels: a power law with an interval, and when it says nothing. Pure.

The error (1 - F1) is fitted as a * n^-b by least squares on its logarithm, as errors of networks fall over wide ranges
of n (Hestness et al. 2017, arXiv 1712.00409). It has no floor: with a handful of sizes none can be told from a small
b, so what is read off far beyond the largest size is too kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.metrics import INTERVAL_CONFIDENCE
from models.calibration import FloatArray

_DRAWS, _SEED = 4_000, 2026
MIN_SIZES = 3
"""Two sizes fit every law."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def is_above_zero(self) -> bool:
        """Whether the interval lies above zero."""
        return self.low > 0


@dataclass(frozen=True, slots=True, eq=False)
class PowerLaw:
    """A fitted law: the exponent, and draws `[d]` of (log a, b) from what the points leave open (multivariate t)."""

    log_scale: float
    exponent: Estimate
    log_scales: FloatArray
    exponents: FloatArray
    max_labels: float

    def error(self, labels: float) -> float:
        """The error, 0 to 1, at so many labels by the best fit."""
        return float(min(1.0, np.exp(self.log_scale - self.exponent.value * np.log(labels))))

    def drawn_gain(self, now: float, later: float) -> FloatArray:
        """By how much the F1 grows from `now` to `later` labels, by each draw, `[d]`."""
        at_now, at_later = (np.exp(self.log_scales - self.exponents * np.log(n)) for n in (now, later))
        return np.asarray(np.minimum(at_now, 1.0) - np.minimum(at_later, 1.0))

    def gain(self, now: float, later: float) -> Estimate:
        """By how much the F1 grows from `now` to `later` labels."""
        return interval_of(self.error(now) - self.error(later), self.drawn_gain(now, later))


def interval_of(value: float, draws: FloatArray) -> Estimate:
    """The value with the 95 % interval of its draws `[d]`."""
    tail = (1 - INTERVAL_CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))


def fit_power_law(labels: Sequence[float], errors: Sequence[float]) -> PowerLaw | None:
    """The law of points: numbers of labels `[n]` and errors `[n]`, above 0; `None` with fewer than three sizes.

    The draws treat the points as independent. Those of one seed are not quite: its smaller sets are in its larger
    ones.
    """
    if len(set(labels)) < MIN_SIZES:
        return None
    x, y = np.log(np.asarray(labels, dtype=np.float64)), np.log(np.asarray(errors, dtype=np.float64))
    design = np.stack([np.ones_like(x), -x], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    best = inverse @ design.T @ y
    degrees = len(x) - 2
    variance = float(((y - design @ best) ** 2).sum()) / degrees
    random = np.random.default_rng(_SEED)
    scaled = np.sqrt(degrees / random.chisquare(degrees, _DRAWS))[:, None]
    drawn = best + scaled * random.multivariate_normal(np.zeros(2), variance * inverse, _DRAWS, method="eigh")
    exponent = interval_of(float(best[1]), drawn[:, 1])
    return PowerLaw(float(best[0]), exponent, drawn[:, 0], drawn[:, 1], max(labels))
