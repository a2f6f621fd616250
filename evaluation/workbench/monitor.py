"""The risk monitor: is the promised risk broken? An anytime-valid test on the answers that people read.

Testing by betting (Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by betting", JRSS-B 86(1),
arXiv 2010.09686). Against "the risk is at most a" a gambler stakes on every automatic answer; the capital

    K_n = product over i of (1 + l_i * (z_i - a)),   z_i = x_i * d_i / p_i,   0 <= l_i < 1 / a,

starts at 1 and, as long as the risk is at most `a`, is expected not to grow. By Ville's inequality it then reaches
1/alpha with a probability of at most alpha, *at any time*: look as often as you like and stop when you like. Here x_i
is 1 where answer i is wrong, d_i is 1 where it was drawn to be read, and p_i is the chance of that, known before; so
`z_i` has the mean of `x_i`, whoever is read (Horvitz & Thompson 1952; importance weights in bets: Waudby-Smith et al.
2022, arXiv 2210.10768). The stake is l_i = c * p_i: an answer that was read and is wrong multiplies the capital by
1 + c * (1 - a * p_i), every other one by 1 - c * a * p_i. Several c are played side by side with equal capital ("grid
Kelly", section 5 of the paper); their mean is K_n.

The promise must be of the answers that one policy gave: after a change of policy or model begin anew.
"""

from dataclasses import dataclass

import numpy as np

from evaluation.predictions import BoolArray, IntArray
from models.calibration import FloatArray

_TIMES_THE_PROMISE = (1.25, 1.5, 2.0, 3.0, 5.0)
"""The true risks, in multiples of a small promised one, at each of which one of the gamblers' stakes grows fastest."""
_OF_THE_CANDIDATE = (0.0, 0.25, 0.5, 0.75)
"""Likewise for bets that the risk is lower than a candidate."""
_MOST = 0.99
"""Of the largest stake with which no capital can become negative; one that stakes all is ruined by one surprise."""
_CANDIDATES = np.geomspace(1e-4, 1.0, 401)[:-1]
"""Risks that a confidence sequence keeps or rejects: steps of 2.3 %, since a risk matters by its order."""


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """The natural logarithm of the capital after each of `[n]` answers, and the first place where it says alarm."""

    log_e: FloatArray
    alarm_at: int | None

    @property
    def alarm(self) -> bool:
        """Whether the promise was ever seen broken: an alarm stays, whatever follows."""
        return self.alarm_at is not None


@dataclass(frozen=True, slots=True, eq=False)
class RiskSequence:
    """The interval that holds the risk after so many answers, `[p]` each; all intervals hold at once.

    `places` are numbers of answers seen, `low`, `estimate` and `high` shares between 0 and 1.
    """

    places: IntArray
    low: FloatArray
    estimate: FloatArray
    high: FloatArray


def _check(wrong: BoolArray, drawn: BoolArray, probability: FloatArray, confidence: float) -> None:
    if not len(wrong) == len(drawn) == len(probability):
        raise ValueError(
            f"Nothing was tested: got {len(wrong)} verdicts, {len(drawn)} draws and {len(probability)} probabilities. "
            "Wanted one of each for every automatic answer, in their order. Give those of the same answers."
        )
    odd = probability[~((probability > 0) & (probability <= 1))]
    if len(odd):
        raise ValueError(
            f"Nothing was tested: {len(odd)} answers have a chance to be read such as {odd[0]}. Wanted: over 0 and at "
            "most 1, known before the draw. Leave out what could not be drawn; nothing can be said of it."
        )
    if not 0 < confidence < 1:
        raise ValueError(
            f"Nothing was tested: the confidence is {confidence}. Wanted: over 0 and under 1, such as 0.95. Correct it."
        )


def _up(candidate: FloatArray) -> FloatArray:
    """Stakes `[..., j]` on "the risk is over the candidate", where candidates are `[...]`, over 0 and under 1."""
    stakes = np.array(_TIMES_THE_PROMISE, dtype=np.float64) - 1
    return np.asarray(np.minimum(stakes, _MOST / candidate[..., None]), dtype=np.float64)


def _down(candidate: FloatArray) -> FloatArray:
    """Likewise on "the risk is under the candidate"; negative."""
    return -np.broadcast_to(
        np.minimum(1 - np.array(_OF_THE_CANDIDATE), _MOST), (*candidate.shape, len(_OF_THE_CANDIDATE))
    )


def _log_mean_exp(values: FloatArray) -> FloatArray:
    """The logarithm of the mean of `exp` over the last axis."""
    return np.asarray(np.logaddexp.reduce(values, axis=-1) - np.log(values.shape[-1]), dtype=np.float64)


def watch(
    wrong: BoolArray, drawn: BoolArray, probability: FloatArray, *, promise: float, confidence: float = 0.95
) -> Watch:
    """The test of "at most a share `promise` of the automatic answers is wrong", after each of `[n]` answers.

    The answers stand in the order in which they were given, up to the first that is drawn and not yet read. `drawn`:
    a person was to read it, by a draw with `probability` (over 0 up to 1) that was fixed before. `wrong` counts only
    where drawn: what came up in another way, as by a complaint, is no random sample. An answer that a reader could not
    judge goes in as not wrong, so that an alarm is never raised by doubt.

    Raises:
        ValueError: when the arrays differ in length, or a number is out of its range.
    """
    _check(wrong, drawn, probability, confidence)
    if not 0 < promise < 1:
        raise ValueError(
            f"Nothing was tested: the promised risk is {promise}. Wanted: over 0 and under 1, such as 0.02. Correct it."
        )
    stakes = _up(np.array(promise))
    events = (wrong & drawn)[:, None]
    steps = np.log1p(stakes * (events - promise * probability[:, None]))
    log_e = _log_mean_exp(np.cumsum(steps, axis=0))
    over = np.flatnonzero(log_e >= -np.log1p(-confidence))
    return Watch(log_e=log_e, alarm_at=int(over[0]) if len(over) else None)


def answers_to_alarm(promise: float, probability: float, risk: float, *, confidence: float = 0.95) -> int | None:
    """After how many automatic answers the alarm is to be expected if a share `risk` of them is wrong.

    Each is drawn with `probability`. Going by the mean growth of each stake; of simulated watches more than half came
    sooner (docs/workbench.md). `None` where it would never come, or there is no promise between 0 and 1 to break.
    """
    if not (0 < promise < 1 and 0 < probability <= 1):
        return None
    stakes, hit = _up(np.array(promise)), probability * risk
    won, kept = np.log1p(stakes * (1 - promise * probability)), np.log1p(-stakes * promise * probability)
    growth = hit * won + (1 - hit) * kept
    if growth.max() <= 0:
        return None
    limit = -np.log1p(-confidence)
    low, high = 0, int(np.ceil((limit + np.log(len(growth))) / growth.max()))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _log_mean_exp(middle * growth) >= limit else (middle, high)
    return high


def _log_capital(stakes: FloatArray, chances: FloatArray, events: IntArray, others: IntArray) -> FloatArray:
    """The capital `[p, m]` of stakes `[m, j]` against all candidates, in logarithms.

    `chances` `[u]` are the probabilities that occur, `events` and `others` `[p, u]` how often answers with each were
    read and wrong, and how often not.
    """
    lost = _CANDIDATES[:, None, None] * chances
    won, kept = np.log1p(stakes[..., None] * (1 - lost)), np.log1p(-stakes[..., None] * lost)
    totals = np.einsum("pu,mju->pmj", events, won) + np.einsum("pu,mju->pmj", others, kept)
    return _log_mean_exp(totals)


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
    _check(wrong, drawn, probability, confidence)
    places = np.unique(np.linspace(1, len(wrong), min(points, len(wrong))).astype(np.int64))
    chances, kinds = np.unique(probability, return_inverse=True)
    of_kind = kinds[:, None] == np.arange(len(chances))
    seen = np.cumsum(of_kind, axis=0)[places - 1]
    events = np.cumsum(of_kind & (wrong & drawn)[:, None], axis=0)[places - 1]
    estimate = np.minimum(events.sum(axis=1) / np.maximum(seen @ chances, np.finfo(np.float64).tiny), 1.0)
    limit = np.log(2) - np.log1p(-confidence)
    capitals = [_log_capital(stakes(_CANDIDATES), chances, events, seen - events) for stakes in (_up, _down)]
    # The capital on "more" falls and that on "less" rises with the candidate, since every factor does. So what lies
    # beyond a rejected candidate is rejected too, and each end is the last one that was.
    edges = np.concatenate([[0.0], _CANDIDATES, [1.0]])
    below = np.where(capitals[0] >= limit, np.arange(1, len(_CANDIDATES) + 1), 0).max(axis=1, initial=0)
    above = np.where(capitals[1] >= limit, np.arange(1, len(_CANDIDATES) + 1), len(edges) - 1)
    return RiskSequence(places, edges[below], estimate, edges[above.min(axis=1, initial=len(edges) - 1)])
