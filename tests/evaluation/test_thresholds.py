"""The proof of the thresholds: what is chosen where, what is refused, and that the promise is kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from data.taxonomy import BUILT_IN
from evaluation.certificates import certify
from evaluation.predictions import Predictions
from evaluation.thresholds import LADDER_STEPS, choose_path, fit_policy, specialist_threshold, walk
from models.policy import Policy, RiskBudget, Thresholds
from tests.evaluation.populations import drawn_predictions

GOOD = drawn_predictions(2_000, seed=11, strength=5.0)
DEVELOPMENT, CALIBRATION = GOOD.take(np.arange(700)), GOOD.take(np.arange(700, 2_000))
EASY = Policy(version="4", budget=RiskBudget(leak_sensitive=0.03, leak_influencer=0.05, wrong=0.10))


def test_the_policy_taken_is_the_last_step_that_passed() -> None:
    fitted = fit_policy(DEVELOPMENT, CALIBRATION, EASY)
    *passed, last = fitted.steps
    assert fitted.certified
    assert all(step.certified for step in passed)
    taken = last if last.certified else passed[-1]
    assert fitted.policy.thresholds == taken.thresholds
    assert fitted.policy.certificates == taken.certificates
    assert [step.thresholds for step in fitted.steps] == list(fitted.path[: len(fitted.steps)])
    assert last.certified == (len(fitted.steps) == len(fitted.path))


def test_the_policy_taken_is_the_boldest_certified_one_that_is_allowed() -> None:
    free = fit_policy(DEVELOPMENT, CALIBRATION, EASY)
    line = free.steps[len(free.steps) // 2].thresholds.simple
    careful = fit_policy(DEVELOPMENT, CALIBRATION, EASY, allows=lambda policy: policy.thresholds.simple > line)
    allowed = [step for step in free.steps if step.certified and step.thresholds.simple > line]
    assert careful.policy.thresholds == allowed[-1].thresholds != free.policy.thresholds
    assert careful.policy.certificates == certify(careful.policy, CALIBRATION) == allowed[-1].certificates
    assert (careful.path, careful.steps) == (free.path, free.steps)
    proven = sum(step.certified for step in free.steps)
    assert (free.held_back, careful.held_back) == (0, proven - len(allowed))


def test_where_no_certified_policy_is_allowed_nothing_is_answered() -> None:
    fitted = fit_policy(DEVELOPMENT, CALIBRATION, EASY, allows=lambda _: False)
    assert not fitted.certified
    assert fitted.policy.certificates == fitted.steps[0].certificates
    assert fitted.held_back == sum(step.certified for step in fitted.steps) > 0
    assert not any(decision.closed_by_machine for decision in CALIBRATION.decide(fitted.policy))


def test_the_certificates_are_those_of_the_policy_as_it_decides() -> None:
    fitted = fit_policy(DEVELOPMENT, CALIBRATION, EASY)
    assert fitted.policy.certificates == certify(fitted.policy, CALIBRATION)
    closed = [decision.closed_by_machine for decision in CALIBRATION.decide(fitted.policy)]
    sensitive = CALIBRATION.is_route("sensitive")
    assert fitted.policy.certificates[0].events == sum(np.array(closed) & sensitive)
    assert fitted.policy.certificates[2].trials == sum(closed)


def test_the_path_goes_from_safe_to_bold_and_moves_nothing_but_simple() -> None:
    path = choose_path(DEVELOPMENT, 1_300, EASY)
    simple = [thresholds.simple for thresholds in path]
    assert simple == sorted(simple, reverse=True)
    assert simple[-1] == 0.5
    assert 1 < len(path) <= LADDER_STEPS
    assert len({(step.intent, step.sensitive, step.influencer, step.answer_nothing) for step in path}) == 1


def test_the_path_knows_nothing_of_the_calibration_posts_but_their_number() -> None:
    other = drawn_predictions(1_300, seed=12, strength=0.5)
    assert fit_policy(DEVELOPMENT, CALIBRATION, EASY).path == fit_policy(DEVELOPMENT, other, EASY).path


def test_the_path_starts_where_enough_posts_are_closed_to_prove_something() -> None:
    fitted = fit_policy(DEVELOPMENT, CALIBRATION, EASY)
    first, last = fitted.steps[0], fitted.steps[-1]
    assert first.certified
    # 29 closings without an error prove 10 %: ln(0.05) / ln(0.9) = 28.4. The far safe end closes one post.
    assert 29 <= first.certificates[2].trials < last.certificates[2].trials


def test_a_model_that_knows_nothing_answers_nothing_and_says_what_is_missing() -> None:
    blind = drawn_predictions(2_000, seed=13, strength=0.0)
    fitted = fit_policy(blind.take(np.arange(700)), blind.take(np.arange(700, 2_000)), EASY)
    assert not fitted.certified
    assert len(fitted.steps) == 1
    thresholds = fitted.policy.thresholds
    assert (thresholds.answer_nothing, thresholds.simple, thresholds.intent) == (True, 1.0, 1.0)
    assert not all(each.certified for each in fitted.policy.certificates)
    assert not any(decision.closed_by_machine for decision in CALIBRATION.decide(fitted.policy))


def test_too_few_sensitive_posts_prove_nothing_and_the_missing_ones_are_counted() -> None:
    rows = np.flatnonzero(~CALIBRATION.is_route("sensitive") | (np.cumsum(CALIBRATION.is_route("sensitive")) <= 40))
    fitted = fit_policy(DEVELOPMENT, CALIBRATION.take(rows), EASY)
    leak = fitted.policy.certificates[0]
    assert not fitted.certified
    assert fitted.policy.thresholds.answer_nothing
    assert (leak.risk, leak.events, leak.trials, leak.certified) == ("leak_sensitive", 0, 40, False)
    # 99 sensitive posts without a leak prove 3 %: ln(0.05) / ln(0.97) = 98.4.
    assert leak.more_labels_needed == 59


def test_a_risk_that_development_holds_for_hopeless_does_not_choose_where_the_path_starts() -> None:
    """As many sensitive posts as development has prove nothing of 0.5 %; the calibration split may have more."""
    strict = EASY.model_copy(update={"budget": EASY.budget.model_copy(update={"leak_sensitive": 0.005})})
    sensitive = int(DEVELOPMENT.is_route("sensitive").sum())
    assert 0.995**sensitive > 0.05
    path = choose_path(DEVELOPMENT, len(DEVELOPMENT), strict)
    free = strict.model_copy(update={"budget": strict.budget.model_copy(update={"leak_sensitive": 0.999})})
    assert path == choose_path(DEVELOPMENT, len(DEVELOPMENT), free)


def test_without_a_single_influencer_post_nothing_is_answered() -> None:
    rows = np.flatnonzero(~CALIBRATION.is_route("influencer"))
    fitted = fit_policy(DEVELOPMENT, CALIBRATION.take(rows), EASY)
    assert not fitted.certified
    assert fitted.policy.certificates[1].trials == 0
    assert fitted.policy.certificates[1].more_labels_needed == 59


def test_guards_lists_and_budget_of_the_base_are_kept() -> None:
    base = EASY.model_copy(update={"no_reply_intents": ("praise",), "version": "9"})
    policy = fit_policy(DEVELOPMENT, CALIBRATION, base).policy
    assert policy.model_copy(update={"thresholds": Thresholds(), "certificates": ()}) == base


def test_shared_or_missing_posts_are_refused() -> None:
    with pytest.raises(ValueError, match="700 development and 1400 calibration posts that share 100; wanted"):
        fit_policy(DEVELOPMENT, GOOD.take(np.arange(600, 2_000)), EASY)
    with pytest.raises(ValueError, match="0 development and 1300 calibration posts"):
        fit_policy(GOOD.take(np.arange(0)), CALIBRATION, EASY)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.floats(0, 0.5))
def test_at_most_the_allowed_share_reaches_a_specialist_threshold(scores: list[float], share: float) -> None:
    threshold = specialist_threshold(np.array(scores), share)
    assert 0.02 <= threshold <= 0.5
    if threshold < 0.5:
        assert np.mean([score >= threshold for score in scores]) <= share
    if threshold > 0.02:
        assert np.mean([score >= threshold - 0.0002 for score in scores]) > share


@settings(max_examples=8)
@given(st.floats(0.02, 0.2), st.floats(0.02, 0.2))
def test_on_one_path_a_greater_budget_never_passes_fewer_steps(wrong: float, leak: float) -> None:
    path, sample = choose_path(DEVELOPMENT, 300, EASY), CALIBRATION.take(np.arange(300))

    def passed(more: float) -> int:
        budget = RiskBudget(leak_sensitive=leak + more, leak_influencer=leak + more, wrong=wrong + more)
        return sum(step.certified for step in walk(path, sample, EASY.model_copy(update={"budget": budget})))

    assert passed(0.0) <= passed(0.03) <= passed(0.5)


def _true_risks(population: Predictions, thresholds: Thresholds) -> dict[str, float]:
    """The risks over a whole population, written out anew: without guards only the scores decide."""
    simple, _, sensitive, influencer = population.route_probabilities.T
    closed = (sensitive < thresholds.sensitive) & (influencer < thresholds.influencer) & (simple >= thresholds.simple)
    closed &= (population.intent_probabilities.max(axis=1) >= thresholds.intent) & (not thresholds.answer_nothing)
    silent = BUILT_IN.names.index("not_service")
    content = (population.intents == silent) | (population.intents == BUILT_IN.names.index("praise"))
    left_waiting = (population.predicted_intents == silent) & ~content
    wrong = (population.routes != 0) | left_waiting
    return {
        "leak_sensitive": float(closed[population.routes == 2].mean()),
        "leak_influencer": float(closed[population.routes == 3].mean()),
        "wrong": float((closed & wrong).sum() / max(closed.sum(), 1)),
    }


@pytest.mark.parametrize(
    ("strength", "hidden", "budget"),
    [
        (3.0, 0.2, RiskBudget(leak_sensitive=0.10, leak_influencer=0.3, wrong=0.5, confidence=0.9)),
        (2.5, 0.0, RiskBudget(leak_sensitive=0.5, leak_influencer=0.5, wrong=0.12, confidence=0.9)),
    ],
    ids=["a fifth of the sensitive posts looks simple", "answers go wrong as they get bolder"],
)
def test_the_promise_is_broken_no_more_often_than_stated(strength: float, hidden: float, budget: RiskBudget) -> None:
    """Both splits are drawn 150 times, a policy is fitted each time, and its risks are counted over all posts."""
    draws, random = 150, np.random.default_rng(22)
    everyone = drawn_predictions(3_000, seed=21, strength=strength, hidden=hidden, mix=(0.40, 0.20, 0.28, 0.12))
    population = everyone.take(np.arange(1_500, 3_000))
    certified = broken = 0
    for _ in range(draws):
        development = everyone.take(random.choice(1_500, size=150))
        calibration = population.take(random.choice(1_500, size=300))
        fitted = fit_policy(development, calibration, Policy(budget=budget))
        risks = _true_risks(population, fitted.policy.thresholds)
        certified += fitted.certified
        broken += fitted.certified and any(risks[name] > getattr(budget, name) for name in risks)
    assert broken <= binom.ppf(0.999, draws, 1 - budget.confidence)
    assert broken > 0, "a test that never comes near the line shows nothing"
    assert certified > draws / 3, "a proof that is never given would keep any promise"
