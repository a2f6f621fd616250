"""What abstaining buys: risk against coverage, the areas under it, and how much is answered at a given risk.

Posts are ranked by confidence; a threshold keeps the more confident ones. Posts of equal confidence are kept or
given away together, so every figure is one that a threshold can reach. Definitions: AURC, Geifman et al. 2019 (arXiv
1805.08206); AUGRC, Traub et al. 2024 (arXiv 2407.01032).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.predictions import BoolArray
from models.calibration import FloatArray

RISKS = (0.01, 0.02, 0.05, 0.10)
"""The risks at which coverage is reported; the design asks for 1, 2 and 5 %."""


@dataclass(frozen=True, slots=True, eq=False)
class RiskCoverage:
    """Every threshold that keeps another set of posts, from the strictest on; all arrays `[t]`.

    `kept` posts have at least `thresholds` as confidence, `wrong` of them are wrong, of `posts` in all.
    """

    thresholds: FloatArray
    kept: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.int64]
    posts: int

    @property
    def coverage(self) -> FloatArray:
        """The share of posts that are kept, over 0 up to 1."""
        return np.asarray(self.kept / self.posts, dtype=np.float64)

    @property
    def risk(self) -> FloatArray:
        """The share of the kept posts that are wrong: the selective risk."""
        return np.asarray(self.wrong / self.kept, dtype=np.float64)

    @property
    def generalized_risk(self) -> FloatArray:
        """The share of all posts that are kept and wrong."""
        return np.asarray(self.wrong / self.posts, dtype=np.float64)


def risk_coverage(confidence: FloatArray, wrong: BoolArray) -> RiskCoverage:
    """The risk-coverage curve of `[n]` posts by their confidence and whether the model is wrong on them."""
    order = np.argsort(-confidence, kind="stable")
    ranked, errors = confidence[order], np.cumsum(wrong[order], dtype=np.int64)
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.empty(0, dtype=np.int64)
    return RiskCoverage(thresholds=ranked[last], kept=last + 1, wrong=errors[last], posts=len(confidence))


def aurc(confidence: FloatArray, wrong: BoolArray) -> float:
    """The mean selective risk over the thresholds set at each post's own confidence, 0 to 1; lower is better."""
    curve = risk_coverage(confidence, wrong)
    return float((np.diff(curve.kept, prepend=0) * curve.risk).sum() / max(curve.posts, 1))


def augrc(confidence: FloatArray, wrong: BoolArray) -> float:
    """The area under generalized risk against coverage, 0 to 0.5; lower is better (arXiv 2407.01032).

    Equal to `(1 - AUROC) * acc * (1 - acc) + (1 - acc)**2 / 2`, where AUROC says how well confidence ranks right
    posts above wrong ones. Trapezoids from the origin; a tie counts as half.
    """
    curve = risk_coverage(confidence, wrong)
    coverage, risk = np.append(0.0, curve.coverage), np.append(0.0, curve.generalized_risk)
    return float((np.diff(coverage) * (risk[1:] + risk[:-1]) / 2).sum())


def coverage_at_risk(confidence: FloatArray, wrong: BoolArray, risk: float) -> float:
    """The largest share of posts that a threshold keeps with at most `risk` of them wrong; 0 where none does."""
    curve = risk_coverage(confidence, wrong)
    return float(curve.coverage[curve.risk <= risk].max(initial=0.0))


def answerable_share(simple: FloatArray, is_simple: BoolArray, wrong_share: float) -> float | None:
    """The share of the truly simple posts that a threshold on `simple` keeps, at most `wrong_share` of the kept wrong.

    `simple` `[n]` are the probabilities of that route; a kept post is wrong where it is not `is_simple`. `None`
    where no post is simple.
    """
    if not is_simple.any():
        return None
    curve = risk_coverage(simple, ~is_simple)
    kept_simple = (curve.kept - curve.wrong)[curve.risk <= wrong_share]
    return float(kept_simple.max(initial=0) / is_simple.sum())


def thin(curve: RiskCoverage, points: int) -> list[tuple[float, float]]:
    """At most `points` (coverage, risk) pairs of the curve, evenly spread, for drawing."""
    rows: Sequence[int] = np.unique(np.linspace(0, max(len(curve.kept) - 1, 0), points).astype(int)).tolist()
    return [(float(curve.coverage[row]), float(curve.risk[row])) for row in rows if row < len(curve.kept)]
