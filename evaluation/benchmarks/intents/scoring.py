"""What logits are worth: accuracy in scope, and how many texts out of scope a threshold turns away.

A threshold and the score it is put on are chosen on the development part alone: of all thresholds that turn away at
most a stated share of its texts in scope that are answered rightly, the highest. That needs no text out of scope, so
the rule is the same where a set has none to choose by.
"""

from collections.abc import Callable

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score

from evaluation.metrics import accuracy, macro_f1
from evaluation.predictions import IntArray
from models.calibration import FloatArray

OUTSIDE = -1
"""The place of a text that has none of the intents."""
Score = Callable[[FloatArray], FloatArray]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Turned(_Value):
    """What a threshold does, shares 0 to 1."""

    score: str = Field(description="what the threshold is put on")
    threshold: float = Field(description="texts whose score is under it are turned away")
    in_scope_accuracy: float = Field(description="share of the test texts in scope that are answered, and rightly")
    out_of_scope_recall: float = Field(description="share of the test texts out of scope that are turned away")


class Scored(_Value):
    """The figures of one method with one seed on one set."""

    accuracy: float = Field(description="of the test texts in scope, nothing turned away")
    macro_f1: float = Field(description="over the intents of the test texts in scope")
    auroc: float | None = Field(description="how well the chosen score tells texts in scope from others")
    turned: Turned | None = Field(description="at the chosen threshold; none without development or out-of-scope texts")


def top_probability(logits: FloatArray) -> FloatArray:
    """The probability `[n]` of the likeliest intent (Hendrycks and Gimpel 2017, arXiv 1610.02136)."""
    return np.asarray(np.exp(logits.max(1) - logsumexp(logits, axis=1)))


def negative_energy(logits: FloatArray) -> FloatArray:
    """The logarithm `[n]` of the sum of the exponentials (Liu et al. 2020, arXiv 2010.03759)."""
    return np.asarray(logsumexp(logits, axis=1))


def top_logit(logits: FloatArray) -> FloatArray:
    """The largest logit `[n]` (Hendrycks et al. 2022, arXiv 1911.11132)."""
    return np.asarray(logits.max(1))


SCORES: dict[str, Score] = {"probability": top_probability, "energy": negative_energy, "logit": top_logit}


def choose_threshold(scores: FloatArray, right: IntArray, max_lost: float) -> float:
    """The highest threshold under which at most `max_lost` of those that are `right` (1, else 0) lie."""
    kept = np.sort(scores[right == 1])
    return float(kept[int(max_lost * len(kept))]) if len(kept) else -np.inf


def _recall(scores: FloatArray, threshold: float) -> float:
    return float((scores < threshold).mean())


def _turn(name: str, threshold: float, logits: FloatArray, true: IntArray) -> Turned:
    scores, inside = SCORES[name](logits), true != OUTSIDE
    answered = np.where(scores >= threshold, logits.argmax(1), OUTSIDE)
    return Turned(
        score=name,
        threshold=threshold,
        in_scope_accuracy=accuracy(true[inside], answered[inside]),
        out_of_scope_recall=_recall(scores[~inside], threshold),
    )


def choose_score(logits: FloatArray, true: IntArray, max_lost: float) -> tuple[str, float]:
    """The name of the score and its threshold, chosen on these development texts.

    The score is the one that turns away most texts out of scope; where there are none, the top probability.
    """
    inside = true != OUTSIDE
    right = (logits.argmax(1) == true).astype(np.int64)[inside]
    chosen = {name: choose_threshold(score(logits[inside]), right, max_lost) for name, score in SCORES.items()}
    if inside.all():
        return "probability", chosen["probability"]
    best = max(chosen, key=lambda name: _recall(SCORES[name](logits[~inside]), chosen[name]))
    return best, chosen[best]


def score(
    development: tuple[FloatArray, IntArray], test: tuple[FloatArray, IntArray], names: tuple[str, ...], max_lost: float
) -> Scored:
    """The figures of the logits `[n, k]` of both parts beside their true places `[n]`, -1 being out of scope."""
    logits, true = test
    inside = true != OUTSIDE
    said = logits.argmax(1)
    turned, auroc = None, None
    if len(development[1]) and not inside.all():
        name, threshold = choose_score(*development, max_lost)
        turned = _turn(name, threshold, logits, true)
        auroc = float(roc_auc_score(inside, SCORES[name](logits)))
    return Scored(
        accuracy=accuracy(true[inside], said[inside]),
        macro_f1=macro_f1(true[inside], said[inside], names),
        auroc=auroc,
        turned=turned,
    )
