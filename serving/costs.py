"""How long a post of some tokens takes on this machine: measured in the warm-up, corrected by every post that runs."""

from threading import Lock

_MEMORY = 0.99
"""What is kept of the weight of earlier posts at each new one: the last hundred or so tell how fast the machine is."""
_WARM_UP_WEIGHT = 5.0
_OUTLIER = 4.0
"""A post that took more than so many times what was foretold, or less than that part of it, counts as one that took so
long: a pause of the whole machine says little of posts, and a machine that has become slow is followed all the same."""
_LEAST_SPREAD = 0.01
"""Least share of the squared tokens that must be spread around their mean for a slope to be read from them."""
_LEAST_S = 1e-6
"""Far below what any post takes; the seconds foretold are never zero."""


class CostModel:
    """Seconds = fixed + slope x tokens, by least squares on the relative error, older posts weighing less.

    A long post is run in windows one after another, so its tokens cost what those of short posts do, and no third term
    is needed (`docs/decisions/0017`). Where the posts are all of one length, or the line would go below zero, only
    its height is corrected. Safe between threads; starts from two measured posts, each as its tokens and seconds.
    """

    def __init__(self, short: tuple[int, float], long: tuple[int, float]) -> None:
        slope = max(0.0, (long[1] - short[1]) / max(1, long[0] - short[0]))
        self._slope_s = min(slope, max(_LEAST_S, short[1]) / max(1, short[0]))
        self._fixed_s = max(_LEAST_S, short[1] - self._slope_s * short[0])
        self._sums = (0.0, 0.0, 0.0, 0.0, 0.0)
        self.typical_s = short[1]
        """The seconds that posts took of late, in the mean."""
        self._lock = Lock()
        for tokens, seconds in (short, long):
            self._add(tokens, seconds, _WARM_UP_WEIGHT)

    def seconds(self, tokens: int) -> float:
        """The seconds that a post of so many tokens should take."""
        return self._fixed_s + self._slope_s * tokens

    def observe(self, tokens: int, seconds: float) -> None:
        """Nothing; learns from a post that took `seconds`."""
        with self._lock:
            foretold_s = self.seconds(tokens)
            bounded_s = min(max(seconds, foretold_s / _OUTLIER), foretold_s * _OUTLIER)
            self.typical_s += (1.0 - _MEMORY) * (bounded_s - self.typical_s)
            self._add(tokens, bounded_s, 1.0)
            self._fit()

    def _add(self, tokens: int, seconds: float, weight: float) -> None:
        weight /= self.seconds(tokens) ** 2
        new = (weight, weight * tokens, weight * tokens**2, weight * seconds, weight * tokens * seconds)
        self._sums = tuple(_MEMORY * old + each for old, each in zip(self._sums, new, strict=True))  # type: ignore[assignment] # five remain five

    def _fit(self) -> None:
        n, x, xx, y, xy = self._sums
        spread = n * xx - x * x
        if spread > _LEAST_SPREAD * n * xx:
            slope = (n * xy - x * y) / spread
            fixed = (y - slope * x) / n
            if slope >= 0.0 and fixed >= _LEAST_S:
                self._fixed_s, self._slope_s = fixed, slope
                return
        factor = y / (self._fixed_s * n + self._slope_s * x)
        self._fixed_s = max(_LEAST_S, self._fixed_s * factor)
        self._slope_s *= factor
