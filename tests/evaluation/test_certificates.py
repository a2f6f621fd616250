from math import comb, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.certificates import certify, explain, p_value, trials_needed, upper_bound
from evaluation.predictions import predict_posts
from models.policy import Certificate, Policy, RiskBudget, Thresholds
from tests.evaluation.populations import drawn_predictions, labelled_posts, predictor
from tests.fakes import BOLD_POLICY

budgets = st.floats(0.001, 0.5)
PREDICTIONS = drawn_predictions(150, seed=4)


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int]:
    trials = draw(st.integers(0, 120))
    return draw(st.integers(0, trials)), trials


@given(counts(), budgets)
def test_the_p_value_is_the_binomial_sum(count: tuple[int, int], allowed: float) -> None:
    events, trials = count
    wanted = sum(comb(trials, k) * allowed**k * (1 - allowed) ** (trials - k) for k in range(events + 1))
    assert p_value(events, trials, allowed) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@given(counts(), budgets, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_the_upper_bound_is_within_the_budget_exactly_where_the_test_rejects(
    count: tuple[int, int], allowed: float, confidence: float
) -> None:
    p, bound = p_value(*count, allowed), upper_bound(*count, confidence)
    if abs(p - (1 - confidence)) > 1e-9:
        assert (bound <= allowed) == (p <= 1 - confidence)


def test_without_an_event_the_numbers_of_the_design_prove_one_and_two_percent() -> None:
    for allowed, wanted in ((0.01, 299), (0.02, 149)):
        assert trials_needed(0.0, allowed, 0.95) == wanted
        assert wanted - 1 < log(0.05) / log(1 - allowed) <= wanted


@given(counts(), st.floats(0.02, 0.5))
def test_the_trials_needed_prove_it_and_one_fewer_do_not(count: tuple[int, int], allowed: float) -> None:
    events, trials = count
    rate = events / max(trials, 1)
    needed = trials_needed(rate, allowed, 0.95)
    if needed is None:
        assert rate > 0.95 * allowed
        return
    expected = -int(-(rate * needed - 1e-9) // 1)
    assert p_value(expected, needed, allowed) <= 0.05
    if needed > 1:
        fewer = -int(-(rate * (needed - 1) - 1e-9) // 1)
        assert p_value(fewer, needed - 1, allowed) > 0.05


def test_a_rate_at_the_budget_is_proven_by_no_number_of_labels() -> None:
    assert trials_needed(0.02, 0.02, 0.95) is None
    assert trials_needed(0.0, 0.0, 0.95) is None


@pytest.mark.parametrize("events", [0, 7])
def test_a_budget_of_everything_is_held_by_everything(events: int) -> None:
    assert p_value(events, 7, 1.0) == 0.0
    assert p_value(0, 0, 1.0) == 0.0


def test_certificates_count_what_the_policy_closes() -> None:
    predictions = predict_posts(predictor(), labelled_posts(10, 1), progress=False)
    counted = {each.risk: (each.events, each.trials, each.certified) for each in certify(BOLD_POLICY, predictions)}
    # Of WRONG, one sensitive and one influencer post say "parcel"; a complex one too. One more meets another
    # need, which is counted apart.
    assert counted == {"leak_sensitive": (1, 21, False), "leak_influencer": (1, 11, False), "wrong": (3, 34, False)}


def test_a_policy_that_answers_nothing_leaks_nothing_and_proves_nothing_of_its_answers() -> None:
    predictions = predict_posts(predictor(), labelled_posts(10, 1), progress=False)
    sensitive, influencer, wrong = certify(Policy(), predictions)
    assert (sensitive.events, influencer.events) == (0, 0)
    assert (wrong.trials, wrong.p_value, wrong.upper_bound, wrong.certified) == (0, 1.0, 1.0, False)
    assert wrong.more_labels_needed == 29


@settings(max_examples=20)
@given(st.sampled_from(["leak_sensitive", "leak_influencer", "wrong"]), st.floats(0.01, 0.3), st.floats(0, 0.5))
def test_a_greater_budget_never_loses_a_certificate(risk: str, budget: float, more: float) -> None:
    thresholds = Thresholds(simple=0.8, intent=0.3, answer_nothing=False)
    small, large = (
        {each.risk: each for each in certify(Policy(thresholds=thresholds, budget=each_budget), PREDICTIONS)}
        for each_budget in (RiskBudget(**{risk: budget}), RiskBudget(**{risk: budget + more}))
    )
    assert small[risk].certified <= large[risk].certified
    assert small[risk].p_value >= large[risk].p_value


def _certificate(**more: object) -> Certificate:
    fields = {
        "risk": "leak_sensitive", "budget": 0.02, "confidence": 0.95, "events": 0, "trials": 100,
        "p_value": 0.13, "upper_bound": 0.0295, "certified": False, "more_labels_needed": 49,
    }  # fmt: skip
    return Certificate.model_validate(fields | more)


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (
            _certificate(),
            "leak_sensitive: 0 of 100 sensitive posts, at most 2.95 % with 95 % confidence; the budget of 2.00 % is "
            "not provable: 49 more sensitive posts needed with no further error",
        ),
        (
            _certificate(certified=True, more_labels_needed=0, trials=149, upper_bound=0.0199),
            "leak_sensitive: 0 of 149 sensitive posts, at most 1.99 % with 95 % confidence; "
            "the budget of 2.00 % is proven",
        ),
        (
            _certificate(events=5, upper_bound=0.1, more_labels_needed=None),
            "leak_sensitive: 5 of 100 sensitive posts, at most 10.00 % with 95 % confidence; the budget of 2.00 % is "
            "not provable: no number of labels proves it at this rate: the model or the budget has to change",
        ),
        (
            _certificate(risk="wrong", budget=0.1, events=2, trials=25, upper_bound=0.23, more_labels_needed=480),
            "wrong: 2 of 25 posts that the machine closes, at most 23.00 % with 95 % confidence; the budget of 10.00 % "
            "is not provable: 480 more posts that the machine closes needed at this rate",
        ),
    ],
)
def test_a_certificate_says_in_words_what_is_missing(certificate: Certificate, words: str) -> None:
    assert explain(certificate) == words
