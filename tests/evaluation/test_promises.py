"""A thousand calibration draws from a population whose risks are known: promises are broken no more often than stated.

The counts are held by exact binomial bounds, so that each test has one outcome for its seed and fails where a proof is
given too easily: with the level doubled, both do.
"""

import numpy as np
from scipy.stats import binom

from evaluation.certificates import LEAKS, certify
from evaluation.closings import read_closings
from evaluation.predictions import Predictions
from evaluation.thresholds import choose_path, walk
from models.policy import Policy, RiskBudget, Thresholds
from tests.evaluation.populations import drawn_predictions

DRAWS, POSTS, SENSITIVE_POSTS = 1_000, 90, 40
CONFIDENCE = 0.9
RARELY = 0.999
"""How sure the bound is: a test of a promise that is kept fails once in a thousand seeds."""
POPULATION = drawn_predictions(1_500, seed=31, strength=3.0, hidden=0.2, mix=(0.40, 0.10, 0.40, 0.10))
BUDGET = RiskBudget(leak_sensitive=0.12, leak_influencer=0.6, wrong=0.6, confidence=CONFIDENCE)
ALLOWED_BROKEN = int(binom.ppf(RARELY, DRAWS, 1 - CONFIDENCE))


def _risks(thresholds: Thresholds) -> dict[str, float]:
    """What each risk truly is at these thresholds, counted over the whole population."""
    closings = read_closings(POPULATION, Policy(thresholds=thresholds))
    closed = closings.closed(thresholds)
    leaks: dict[str, float] = {risk: float(closed[POPULATION.is_route(route)].mean()) for risk, route in LEAKS.items()}
    return {**leaks, "wrong": float(closings.wrong[closed].mean())}


def _draw(random: np.random.Generator) -> Predictions:
    return POPULATION.take(random.choice(len(POPULATION), size=POSTS))


def test_thresholds_fitted_a_thousand_times_break_their_promise_no_more_often_than_stated() -> None:
    development = drawn_predictions(120, seed=32, strength=3.0, hidden=0.2, mix=(0.40, 0.10, 0.40, 0.10))
    base = Policy(budget=BUDGET)
    path = choose_path(development, POSTS, base)[::4]
    true = {thresholds: _risks(thresholds) for thresholds in path}
    random, proven, broken = np.random.default_rng(33), 0, 0
    for _ in range(DRAWS):
        passed = [step for step in walk(path, _draw(random), base) if step.certified]
        proven += bool(passed)
        broken += bool(passed) and any(
            share > getattr(BUDGET, risk) for risk, share in true[passed[-1].thresholds].items()
        )
    assert broken <= ALLOWED_BROKEN
    assert broken > 0, "a path that never comes near the line shows nothing"
    assert proven > DRAWS / 3, "a proof that is never given would keep any promise"


def test_a_policy_just_over_its_budget_is_certified_no_more_often_than_stated() -> None:
    thresholds = Thresholds(simple=0.5, intent=0.0, sensitive=0.5, influencer=0.5, answer_nothing=False)
    leak = _risks(thresholds)["leak_sensitive"]
    budget = RiskBudget(leak_sensitive=leak - 1e-9, leak_influencer=1.0, wrong=1.0, confidence=CONFIDENCE)
    policy, random = Policy(thresholds=thresholds, budget=budget), np.random.default_rng(34)
    sensitive, proven = np.flatnonzero(POPULATION.is_route("sensitive")), 0
    for _ in range(DRAWS):
        drawn = POPULATION.take(random.choice(sensitive, size=SENSITIVE_POSTS))
        proven += all(each.certified for each in certify(policy, drawn))
    assert 0 < proven <= ALLOWED_BROKEN
