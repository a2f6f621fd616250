"""The risk monitor's figures: the interval for the risk, how much reading narrows it, how long an alarm takes.

The alarm is `models.promise`. All after Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by
betting", JRSS-B 86(1), arXiv 2010.09686: a candidate risk is kept as long as nobody has made much money by betting
against it.
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from evaluation.certificates import MAX_LABELS
from evaluation.predictions import BoolArray, IntArray
from models.calibration import FloatArray
from models.promise import MOST, check_answers, log_mean_exp, stakes_above

_OF_THE_CANDIDATE = (0.0, 0.25, 0.5, 0.75)
"""Likewise for bets that the risk is lower than a candidate."""
_CANDIDATES = np.geomspace(1e-4, 1.0, 401)[:-1]
"""Risks that a confidence sequence keeps or rejects: steps of 2.3 %, since a risk matters by its order."""


@dataclass(frozen=True, slots=True, eq=False)
class RiskSequence:
    """The interval that holds the risk after so many answers, `[p]` each; all intervals hold at once.

    `places` are numbers of answers seen, `low`, `estimate` and `high` shares between 0 and 1.
    """

    places: IntArray
    low: FloatArray
    estimate: FloatArray
    high: FloatArray


def _down(candidate: FloatArray) -> FloatArray:
    """Likewise on "the risk is under the candidate"; negative."""
    return -np.broadcast_to(
        np.minimum(1 - np.array(_OF_THE_CANDIDATE), MOST), (*candidate.shape, len(_OF_THE_CANDIDATE))
    )


def answers_to_alarm(promise: float, probability: float, risk: float, *, confidence: float = 0.95) -> int | None:
    """After how many automatic answers the alarm is to be expected if a share `risk` of them is wrong.

    Each is drawn with `probability`. Going by the mean growth of each stake; of simulated watches more than half came
    sooner (docs/workbench.md). `None` where it would never come, or there is no promise between 0 and 1 to break.
    """
    if not (0 < promise < 1 and 0 < probability <= 1):
        return None
    stakes, hit = stakes_above(np.array(promise)), probability * risk
    won, kept = np.log1p(stakes * (1 - promise * probability)), np.log1p(-stakes * promise * probability)
    growth = hit * won + (1 - hit) * kept
    if growth.max() <= 0:
        return None
    limit = -np.log1p(-confidence)
    low, high = 0, int(np.ceil((limit + np.log(len(growth))) / growth.max()))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if log_mean_exp(middle * growth) >= limit else (middle, high)
    return high


def _log_capital(stakes: FloatArray, chances: FloatArray, events: IntArray, others: IntArray) -> FloatArray:
    """The capital `[p, m]` of stakes `[m, j]` against all candidates, in logarithms.

    `chances` `[u]` are the probabilities that occur, `events` and `others` `[p, u]` how often answers with each were
    read and wrong, and how often not.
    """
    lost = _CANDIDATES[:, None, None] * chances
    won, kept = np.log1p(stakes[..., None] * (1 - lost)), np.log1p(-stakes[..., None] * lost)
    totals = np.einsum("pu,mju->pmj", events, won) + np.einsum("pu,mju->pmj", others, kept)
    return log_mean_exp(totals)


def _limit(confidence: float) -> float:
    """The capital, in logarithms, at which one of two gamblers has a candidate rejected."""
    return float(np.log(2) - np.log1p(-confidence))


def risk_sequence(
    wrong: BoolArray, drawn: BoolArray, probability: FloatArray, *, confidence: float = 0.95, points: int = 100
) -> RiskSequence:
    """Intervals for the share of wrong automatic answers at up to `points` places; all hold at once with `confidence`.

    A candidate risk stays in as long as neither of two gamblers, one on "more" and one on "less", has made
    2 / (1 - confidence) of it (Waudby-Smith & Ramdas 2024, theorem 3). The arrays are those of `watch`; an answer
    that a reader could not judge should go in as wrong here, so that the upper end is not flattered.

    Raises:
        ValueError: when the arrays differ in length, or a number is out of its range.
    """
    check_answers(wrong, drawn, probability, confidence)
    places = np.unique(np.linspace(1, len(wrong), min(points, len(wrong))).astype(np.int64))
    chances, kinds = np.unique(probability, return_inverse=True)
    of_kind = kinds[:, None] == np.arange(len(chances))
    seen = np.cumsum(of_kind, axis=0)[places - 1]
    events = np.cumsum(of_kind & (wrong & drawn)[:, None], axis=0)[places - 1]
    estimate = np.minimum(events.sum(axis=1) / np.maximum(seen @ chances, np.finfo(np.float64).tiny), 1.0)
    limit = _limit(confidence)
    capitals = [_log_capital(stakes(_CANDIDATES), chances, events, seen - events) for stakes in (stakes_above, _down)]
    # The capital on "more" falls and that on "less" rises with the candidate, since every factor does. So what lies
    # beyond a rejected candidate is rejected too, and each end is the last one that was.
    edges = np.concatenate([[0.0], _CANDIDATES, [1.0]])
    below = np.where(capitals[0] >= limit, np.arange(1, len(_CANDIDATES) + 1), 0).max(axis=1, initial=0)
    above = np.where(capitals[1] >= limit, np.arange(1, len(_CANDIDATES) + 1), len(edges) - 1)
    return RiskSequence(places, edges[below], estimate, edges[above.min(axis=1, initial=len(edges) - 1)])


def reads_to_show(
    wrong: BoolArray, drawn: BoolArray, probability: FloatArray, *, wanted: float, confidence: float = 0.95
) -> int | None:
    """How many more answers, all of them read and right, until `risk_sequence` ends under a share `wanted` (0 to 1).

    0 where it does already, `None` where it would take over a million. Whoever reads on until that is reached, and
    looks after every answer, is wrong no more often than the confidence says.

    Raises:
        ValueError: when the arrays differ in length, or a number is out of its range.
    """
    check_answers(wrong, drawn, probability, confidence)
    if not 0 < wanted < 1:
        raise ValueError(f"Nothing was counted: the wanted share is {wanted}. Wanted: over 0 and under 1. Correct it.")
    stakes, events = _down(np.array(wanted)), (wrong & drawn)[:, None]
    gone = np.log1p(stakes * (events - wanted * probability[:, None])).sum(axis=0)
    each, limit = np.log1p(-stakes * wanted), _limit(confidence)
    more = bisect_left(range(MAX_LABELS + 1), True, key=lambda reads: bool(log_mean_exp(gone + reads * each) >= limit))
    return None if more > MAX_LABELS else more
