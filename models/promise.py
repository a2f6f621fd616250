"""Is the promise of a policy broken? The lots by which answers are drawn to be read, and an anytime-valid test.

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
from hashlib import sha256
from math import exp

import numpy as np
import numpy.typing as npt

from models.calibration import FloatArray

BoolArray = npt.NDArray[np.bool_]
_LOT_BYTES = 6
"""Of the hash: 48 bits, which a float holds exactly, so that no lot is rounded up to 1."""
_TIMES_THE_PROMISE = (1.25, 1.5, 2.0, 3.0, 5.0)
"""The true risks, in multiples of a small promised one, at each of which one of the gamblers' stakes grows fastest."""
_MOST_POWER = 700.0
"""Of e: a larger capital is no number any more, and says nothing more."""
MOST = 0.99
"""Of the largest stake with which no capital can become negative; one that stakes all is ruined by one surprise."""


def lot_of(prediction_id: str, secret: str) -> float:
    """The lot of an answer, from 0 to under 1, alike for all; it is drawn where this is under the chance to be drawn.

    From the SHA-256 of both, so nobody who does not know `secret` can tell which answers will be read.
    """
    digest = sha256(f"{secret}:{prediction_id}".encode()).digest()
    return int.from_bytes(digest[:_LOT_BYTES], "big") / 256.0**_LOT_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """The natural logarithm of the capital after each of `[n]` answers, and the first place where it says alarm."""

    log_e: FloatArray
    alarm_at: int | None

    @property
    def alarm(self) -> bool:
        """Whether the promise was ever seen broken: an alarm stays, whatever follows."""
        return self.alarm_at is not None

    @property
    def e_value(self) -> float:
        """The capital after the last answer; 1 before the first."""
        return exp(min(float(self.log_e[-1]), _MOST_POWER)) if len(self.log_e) else 1.0


def check_answers(wrong: BoolArray, drawn: BoolArray, probability: FloatArray, confidence: float) -> None:
    """Nothing, where these are answers that can be tested.

    Raises:
        ValueError: when the arrays differ in length, or a number is out of its range.
    """
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


def stakes_above(candidate: FloatArray) -> FloatArray:
    """Stakes `[..., j]` on "the risk is over the candidate", where candidates are `[...]`, over 0 and under 1."""
    stakes = np.array(_TIMES_THE_PROMISE, dtype=np.float64) - 1
    return np.asarray(np.minimum(stakes, MOST / candidate[..., None]), dtype=np.float64)


def log_mean_exp(values: FloatArray) -> FloatArray:
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
    check_answers(wrong, drawn, probability, confidence)
    if not 0 < promise < 1:
        raise ValueError(
            f"Nothing was tested: the promised risk is {promise}. Wanted: over 0 and under 1, such as 0.02. Correct it."
        )
    stakes = stakes_above(np.array(promise))
    events = (wrong & drawn)[:, None]
    steps = np.log1p(stakes * (events - promise * probability[:, None]))
    log_e = log_mean_exp(np.cumsum(steps, axis=0))
    over = np.flatnonzero(log_e >= -np.log1p(-confidence))
    return Watch(log_e=log_e, alarm_at=int(over[0]) if len(over) else None)
