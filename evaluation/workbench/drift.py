"""Have the posts changed? Shares of labels and facts, and whether a classifier can tell now from then. Owns both tests.

The reference may be any earlier sample: the held-out posts that the threshold desk has scored, which are to the model
what training posts are but for having been learnt, or the weeks after a release. Every alarm comes with the rate at
which it is false: all null distributions are by permutation, and the smallest p-values are corrected for their number
(Holm 1979), so that *no drift at all* raises an alarm with a probability of at most `false_alarm`.

Posts count as independent. Take out near duplicates first: a hundred copies of a complaint are one event.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.dependencies import needs_group
from data.steps import Steps, finish
from evaluation.predictions import BoolArray, IntArray
from models.calibration import FloatArray

with needs_group("evaluate", "Looking for drift"):
    from scipy.stats import rankdata
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

PERMUTATIONS = 999
"""The smallest p-value is 1 in 1,000, which ten corrected tests still resolve at 0.01."""
LEAST_POSTS = 20
"""Of either sample: half of them judge the classifier, and fewer than ten tell it nothing."""
_LEAST_OF_A_WORD = 3
"""Posts that a word must stand in to be counted; so no name that one person wrote is ever shown."""
_WORDS_SHOWN = 10
_WORD = re.compile(r"[^\s.,!?;:()\"]+")
"""So that `@authority` and `[phone]` stay whole."""
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """Texts `[n]` as the model read them, and facets such as "route" or "platform" with a value for every text."""

    texts: Sequence[str]
    facets: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a facet has moved: the population stability index (0 none, no upper end), and its p-value.

    `moved` is the value whose share changed most, `before` and `now` its shares, 0 to 1.
    """

    facet: str
    psi: float
    p_value: float
    alarm: bool
    moved: str
    before: float
    now: float


@dataclass(frozen=True, slots=True)
class Told:
    """How well a classifier of words tells now from then on posts that it has not seen: the AUC (0.5: not at all).

    `new` and `gone` are the words by which it tells, the strongest first.
    """

    auc: float
    p_value: float
    alarm: bool
    new: tuple[str, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """Every facet, the one that moved most first, and the classifier."""

    shifts: tuple[Shift, ...]
    told: Told

    @property
    def alarm(self) -> bool:
        """Whether anything has changed, by the corrected p-values."""
        return self.told.alarm or any(shift.alarm for shift in self.shifts)


def stability_index(before: IntArray, now: IntArray) -> FloatArray:
    """The population stability index `[...]` of counts `[..., k]`: the sum of (q - p) ln(q / p) over the shares.

    Siddiqi 2006, "Credit Risk Scorecards", chapter 6. Half a post is added to every value, so that one that is new
    or gone gives a number. Symmetric, 0 where the shares are equal.
    """
    p, q = ((counts + _HALF) / (counts + _HALF).sum(axis=-1, keepdims=True) for counts in (before, now))
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1), dtype=np.float64)


def _p_value(observed: float, null: FloatArray) -> float:
    """The share of permutations at least as extreme, the observed order counted among them (Phipson & Smyth 2010)."""
    return float((1 + (null >= observed - 1e-12).sum()) / (1 + len(null)))


def _shift(facet: str, before: Sequence[str], now: Sequence[str], draw: np.random.Generator) -> Shift:
    """One facet; dealing the pooled values anew between the samples is a multivariate hypergeometric draw."""
    then, current = Counter(before), Counter(now)
    values = sorted(then | current)
    p, q = (np.array([counted[value] for value in values]) for counted in (then, current))
    null = draw.multivariate_hypergeometric(p + q, len(now), size=PERMUTATIONS)
    psi = float(stability_index(p, q))
    p_value = _p_value(psi, stability_index(p + q - null, null))
    most = int(np.abs(q / len(now) - p / len(before)).argmax())
    return Shift(facet, psi, p_value, False, values[most], float(p[most] / len(before)), float(q[most] / len(now)))


def _auc(ranks: FloatArray, is_now: BoolArray) -> FloatArray:
    """The AUC `[...]` (Mann-Whitney) from ranks `[m]` of scores and which of them are of now, `[..., m]`."""
    positives = is_now.sum(axis=-1)
    ranked = (is_now * ranks).sum(axis=-1) - positives * (positives + 1) / 2
    return np.asarray(ranked / (positives * (ranks.size - positives)), dtype=np.float64)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _said(text: str) -> str:
    """The words without those that have a digit."""
    return " ".join(word for word in _words(text) if not any(map(str.isdigit, word)))


def _tell(before: Sequence[str], now: Sequence[str], draw: np.random.Generator) -> Told:
    """A classifier two-sample test (Lopez-Paz & Oquab 2017, arXiv 1610.06545), by the AUC on the half not learnt from.

    The classifier does not know which of the held-out posts are of now, so permuting these alone gives the null. What
    is said among these is not learnt from: a post that came then and comes again now would be taken for one of then.
    """
    texts, is_now = [*before, *now], np.arange(len(before) + len(now)) >= len(before)
    halves = np.concatenate([draw.permutation(size) % 2 for size in (len(before), len(now))]) == 0
    said = np.array([_said(text) for text in texts])
    taught = halves & ~np.isin(said, said[~halves])
    words = CountVectorizer(binary=True, analyzer=_words, min_df=_LEAST_OF_A_WORD)
    try:
        learnt = words.fit_transform([text for text, own in zip(texts, taught, strict=True) if own])
        model = LogisticRegression(class_weight="balanced").fit(learnt, is_now[taught])
    except ValueError:  # no word stands in so many posts, or all are of one time, so there is nothing to tell by
        return Told(0.5, 1.0, False, (), ())
    held = words.transform([text for text, own in zip(texts, halves, strict=True) if not own])
    ranks, true = np.asarray(rankdata(model.decision_function(held))), is_now[~halves]
    auc = float(_auc(ranks, true))
    null = _auc(ranks, draw.permuted(np.broadcast_to(true, (PERMUTATIONS, len(true))), axis=1))
    order = np.argsort(model.coef_[0], kind="stable")
    names = words.get_feature_names_out()
    gone, new = (tuple(map(str, names[rows])) for rows in (order[:_WORDS_SHOWN], order[::-1][:_WORDS_SHOWN]))
    return Told(auc, _p_value(auc, null), False, new, gone)


def _rejected(p_values: FloatArray, level: float) -> BoolArray:
    """Which of `[t]` hypotheses fall when at most one true one may, with a probability of `level` (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    passed = p_values[order] <= level / np.arange(len(p_values), 0, -1)
    fallen = np.zeros(len(p_values), dtype=np.bool_)
    fallen[order[: len(passed) if passed.all() else int(passed.argmin())]] = True
    return fallen


def _check(reference: Sample, now: Sample) -> None:
    sizes = (len(reference.texts), len(now.texts))
    if min(sizes) < LEAST_POSTS:
        raise ValueError(
            f"No drift was looked for: got {sizes[0]} posts of then and {sizes[1]} of now. Wanted: at least "
            f"{LEAST_POSTS} of each. Take a longer time."
        )
    if set(reference.facets) != set(now.facets):
        raise ValueError(
            f"No drift was looked for: then has the facets {sorted(reference.facets)}, now {sorted(now.facets)}. "
            "Wanted: the same. Give both a value of each."
        )
    for sample in (reference, now):
        odd = [name for name, values in sample.facets.items() if len(values) != len(sample.texts)]
        if odd:
            raise ValueError(
                f"No drift was looked for: facet {odd[0]} has {len(sample.facets[odd[0]])} values for "
                f"{len(sample.texts)} texts. Wanted: one for each. Give those of the same posts."
            )


def look_in_steps(reference: Sample, now: Sample, *, false_alarm: float = 0.01, seed: int = 0) -> Steps[Drift]:
    """The same as `look_for_drift`, a facet a step, and the classifier."""
    _check(reference, now)
    draw, shifts = np.random.default_rng(seed), []
    for facet in sorted(now.facets):
        shifts.append(_shift(facet, reference.facets[facet], now.facets[facet], draw))
        yield
    told = _tell(reference.texts, now.texts, draw)
    *moved, words = _rejected(np.array([*(shift.p_value for shift in shifts), told.p_value]), false_alarm).tolist()
    alarmed = [replace(shift, alarm=alarm) for shift, alarm in zip(shifts, moved, strict=True)]
    return Drift(
        shifts=tuple(sorted(alarmed, key=lambda shift: (shift.p_value, -shift.psi))),
        told=replace(told, alarm=words),
    )


def look_for_drift(reference: Sample, now: Sample, *, false_alarm: float = 0.01, seed: int = 0) -> Drift:
    """What has changed between two samples. Without any drift, something alarms with at most `false_alarm` (0 to 1).

    The same samples and `seed` give the same answer. A single cause shows in several places: an alarm says that
    something has changed, the words and values say where to look.

    Raises:
        ValueError: when a sample is too small, or the samples do not have the same facets.
    """
    return finish(look_in_steps(reference, now, false_alarm=false_alarm, seed=seed))
