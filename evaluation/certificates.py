"""What is proven of a policy on a sample: exact binomial tests of three risks. Owns the statistics of the proof.

For a risk with budget `a`, `k` events in `n` independent trials reject "the risk is over `a`" at the p-value
BinomCDF(k; n, a). All risks hold together with confidence 1 - d when the largest of their p-values is at most d
(an intersection-union test, so no correction for three risks). The trials of a leak are all posts of that route,
whatever their share in the sample; the trials of `wrong` are the posts that the machine closed.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from data.dependencies import needs_group
from data.taxonomy import Route
from evaluation.closings import Closings, read_closings
from evaluation.predictions import BoolArray, Predictions
from models.calibration import FloatArray
from models.policy import Certificate, Policy, RiskBudget, Thresholds

with needs_group("evaluate", "Certifying a policy"):
    from scipy.special import bdtr, betainc
    from scipy.stats import beta

Risk = Literal["leak_sensitive", "leak_influencer", "wrong"]
RISKS: tuple[Risk, ...] = get_args(Risk)
LEAKS: dict[Risk, Route] = {"leak_sensitive": "sensitive", "leak_influencer": "influencer"}
"""The route whose posts are the trials of each leak."""
TRIALS: dict[Risk, str] = {
    "leak_sensitive": "sensitive posts",
    "leak_influencer": "influencer posts",
    "wrong": "posts that the machine closes",
}
"""What is counted as a trial of each risk: the kind of label that a proof needs more of."""
MAX_LABELS = 1_000_000
"""A proof that needs more labels than this is called impossible."""
_LABELS_AT_ONCE = 10_000
_ROUNDING = 1e-9


def budget_of(budget: RiskBudget, risk: Risk) -> float:
    """The share that the budget allows of that risk."""
    return float(getattr(budget, risk))


def p_value(events: int, trials: int, allowed: float) -> float:
    """P(Binomial(trials, allowed) <= events): how likely so few events are if the risk were just over `allowed`.

    A budget of 1 allows everything, so its p-value is 0.
    """
    return 0.0 if allowed >= 1 else min(1.0, float(bdtr(events, trials, allowed)))


def upper_bound(events: int, trials: int, confidence: float) -> float:
    """The one-sided Clopper-Pearson bound: the risk is below it with `confidence`; 1 where nothing is known."""
    return 1.0 if events >= trials else float(beta.ppf(confidence, events + 1, trials - events))


def trials_needed(rate: float, allowed: float, confidence: float, *, over: int = 0) -> int | None:
    """The smallest number of trials above `over` that would prove the risk if events came at `rate`, rounded up.

    `None` where no number up to a million would, as when the rate is not below what is allowed.
    """
    if allowed >= 1:
        return over + 1
    if rate >= allowed:
        return None
    for start in range(_first_hope(rate, allowed, confidence, over + 1), MAX_LABELS + 1, _LABELS_AT_ONCE):
        trials = np.arange(start, min(start + _LABELS_AT_ONCE, MAX_LABELS + 1))
        events = np.ceil(rate * trials - _ROUNDING)
        enough = trials[bdtr(events, trials, allowed) <= 1 - confidence]
        if len(enough):
            return int(enough[0])
    return None


def _first_hope(rate: float, allowed: float, confidence: float, least: int) -> int:
    """The smallest number of trials from `least` on whose p-value without rounding up is small enough.

    With `rate * n` events, not rounded, the p-value is the beta integral and falls as `n` grows; rounding up only
    raises it. So the search need not begin before, which saves it two seconds where it ends in vain.
    """

    def hopeless(trials: int) -> bool:
        events = max(rate * trials - _ROUNDING, 0.0)
        return bool(betainc(trials - events, events + 1, 1 - allowed) > 1 - confidence)

    return bisect_left(range(MAX_LABELS + 1), True, lo=least, key=lambda trials: not hopeless(trials))


def trials_without(events: int, trials: int, allowed: float, confidence: float) -> int | None:
    """How many more trials without one more event prove a risk of at most `allowed` (0 to 1): "read 73 more".

    Exact binomial: the smallest number after which `upper_bound` is at most `allowed`; 0 where it is already, `None`
    where it would take over a million trials in all.
    """
    found = bisect_left(
        range(max(trials, MAX_LABELS) + 1),
        True,
        lo=trials,
        key=lambda number: p_value(events, number, allowed) <= 1 - confidence,
    )
    return None if found > max(trials, MAX_LABELS) else found - trials


def certificate(risk: Risk, is_event: BoolArray, is_trial: BoolArray, budget: RiskBudget) -> Certificate:
    """What `[n]` posts prove of one risk; an event counts only within the trials."""
    events, trials = int((is_event & is_trial).sum()), int(is_trial.sum())
    allowed, confidence = budget_of(budget, risk), budget.confidence
    p = p_value(events, trials, allowed)
    certified = p <= 1 - confidence
    needed = trials_needed(events / max(trials, 1), allowed, confidence, over=trials) if not certified else trials
    return Certificate(
        risk=risk,
        budget=allowed,
        confidence=confidence,
        events=events,
        trials=trials,
        p_value=p,
        upper_bound=upper_bound(events, trials, confidence),
        certified=certified,
        more_labels_needed=None if needed is None else needed - trials,
    )


def certify_closed(
    predictions: Predictions, closings: Closings, closed: BoolArray, budget: RiskBudget
) -> tuple[Certificate, ...]:
    """The certificates of all risks when `closed` `[n]` posts are closed by the machine."""
    leaks = [certificate(risk, closed, predictions.is_route(route), budget) for risk, route in LEAKS.items()]
    return (*leaks, certificate("wrong", closings.wrong, closed, budget))


def worst_p_values(
    predictions: Predictions, closings: Closings, path: Sequence[Thresholds], budget: RiskBudget
) -> FloatArray:
    """The largest p-value of the three risks at every step of a path of thresholds, `[s]`, 0 to 1.

    What `certify_closed` finds step by step, without the rest of the certificates: some 100 times as fast.
    """
    closed = np.array([closings.closed(thresholds) for thresholds in path])
    counts = {risk: (closed & predictions.is_route(route)).sum(axis=1) for risk, route in LEAKS.items()}
    trials = {risk: np.full(len(path), predictions.is_route(route).sum()) for risk, route in LEAKS.items()}
    counts["wrong"], trials["wrong"] = (closed & closings.wrong).sum(axis=1), closed.sum(axis=1)
    p_values = np.zeros(len(path))
    for risk in RISKS:
        if (allowed := budget_of(budget, risk)) < 1:
            p_values = np.maximum(p_values, np.minimum(1.0, bdtr(counts[risk], trials[risk], allowed)))
    return p_values


def certify(policy: Policy, predictions: Predictions) -> tuple[Certificate, ...]:
    """The certificates of a policy as it stands, for its own budget, on posts that had no part in choosing it."""
    closings = read_closings(predictions, policy)
    return certify_closed(predictions, closings, closings.closed(policy.thresholds), policy.budget)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def explain(certificate: Certificate) -> str:
    """One line in words: what was counted, what follows, and what a missing proof still needs."""
    risk: Risk = next(name for name in RISKS if name == certificate.risk)
    counted = f"{certificate.risk}: {certificate.events} of {certificate.trials} {TRIALS[risk]}"
    bound = f"at most {_percent(certificate.upper_bound)} with {100 * certificate.confidence:g} % confidence"
    if certificate.certified:
        return f"{counted}, {bound}; the budget of {_percent(certificate.budget)} is proven"
    needed = certificate.more_labels_needed
    if needed is None:
        remedy = "no number of labels proves it at this rate: the model or the budget has to change"
    else:
        rate = "with no further error" if certificate.events == 0 else "at this rate"
        remedy = f"{needed} more {TRIALS[risk]} needed {rate}"
    return f"{counted}, {bound}; the budget of {_percent(certificate.budget)} is not provable: {remedy}"


def all_certified(certificates: Sequence[Certificate]) -> bool:
    """True where every risk is proven, and there is one."""
    return bool(certificates) and all(each.certified for each in certificates)
