"""Each gate fails alone and says so; a model on the line passes."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta

from data.taxonomy import BUILT_IN, ROUTES
from evaluation.predictions import Predictions
from models.guards import Guards, LanguageDetector
from models.policy import Facts, Policy, RiskBudget
from tests.data.strategies import labelled
from tests.fakes import FakeClassifier, fake_bundle
from training.candidates import Candidate
from training.gates import Comparison, compare
from training.recipe import Gates

POSTS, CALIBRATION_POSTS = 100, 150
PROVABLE = RiskBudget(leak_sensitive=0.3, leak_influencer=0.3, wrong=0.5)
"""Wide enough for 100 posts to hope for a proof, so that the path starts where something is answered."""
LOOSE = Gates(max_macro_f1_loss_points=100, max_augrc_loss_points=100, max_route_flips_share=1)


def predictions(said: list[int], confidence: float | list[float] = 0.7) -> Predictions:
    """Posts whose true routes take turns, and what is said of them with that confidence."""
    n = len(said)
    confident = np.broadcast_to(np.asarray(confidence, dtype=np.float64), n)
    routes = np.repeat(((1 - confident) / 3)[:, None], len(ROUTES), axis=1)
    routes[np.arange(n), said] = confident
    intents = np.full((n, len(BUILT_IN.names)), 0.01)
    intents[:, 3] = 0.8
    return Predictions(
        posts=tuple(labelled(f"p{place}", "hi there") for place in range(n)),
        routes=np.arange(n, dtype=np.int64) % len(ROUTES),
        intents=np.full(n, 3, dtype=np.int64),
        route_probabilities=routes,
        intent_probabilities=intents,
        facts=(Facts(),) * n,
        groups=np.arange(n, dtype=np.int64),
        taxonomy=BUILT_IN,
    )


@cache
def guards() -> Guards:
    return Guards(LanguageDetector())


def candidate(development: Predictions) -> Candidate:
    """What the gates look at: predictions and the policy that they start from."""
    return Candidate(
        graph=Path("graph.onnx"),
        bundle=fake_bundle(Policy(budget=PROVABLE)),
        classifier=FakeClassifier(),
        guards=guards(),
        development=development,
    )


RIGHT = [place % len(ROUTES) for place in range(POSTS)]


def wrong_on(count: int) -> list[int]:
    """All right but the first `count`, which are said to be the next route."""
    return [(route + 1) % len(ROUTES) if place < count else route for place, route in enumerate(RIGHT)]


def right() -> Candidate:
    return candidate(predictions(RIGHT))


def judged(other: Candidate, reference: Candidate | None = None, gates: Gates = LOOSE, **changes: float) -> Comparison:
    """The comparison with `reference`, or with one that is always right."""
    return compare(reference or right(), other, gates.model_copy(update=changes), calibration_posts=CALIBRATION_POSTS)


def test_the_same_answers_pass_the_tightest_gates() -> None:
    tight = Gates(max_macro_f1_loss_points=0, max_augrc_loss_points=0, max_route_flips_share=0)
    comparison = judged(right(), gates=tight)
    assert comparison.passed
    assert comparison.failures == ()
    assert (comparison.macro_f1_loss_points, comparison.augrc_loss_points) == (0, 0)
    assert (comparison.route_flips_share, comparison.intent_flips_share) == (0, 0)


def test_a_lower_macro_f1_fails_by_its_points() -> None:
    comparison = judged(candidate(predictions(wrong_on(4))), max_macro_f1_loss_points=0.3)
    assert comparison.macro_f1_loss_points == pytest.approx(4.0)
    assert comparison.failures == ("macro-F1 fell by 4.00 points, allowed are 0.3",)
    assert not comparison.passed


def test_confidence_that_ranks_errors_first_fails_by_augrc_alone() -> None:
    said = wrong_on(10)
    good = candidate(predictions(said, [0.4] * 10 + [0.9] * 90))
    bad = candidate(predictions(said, [0.9] * 10 + [0.4] * 90))
    comparison = judged(bad, good, max_augrc_loss_points=0.3)
    assert comparison.route_flips_share == 0
    # All ten errors at the top: area 0.1 - 0.005; at the bottom: 0.005. The difference is 9 points.
    assert comparison.failures == ("AUGRC rose by 9.00 points, allowed are 0.3",)


def test_flipped_routes_fail_though_as_many_are_right() -> None:
    others = [(route + 1) % len(ROUTES) if 3 <= place < 6 else route for place, route in enumerate(RIGHT)]
    reference, other = candidate(predictions(wrong_on(3))), candidate(predictions(others))
    comparison = judged(other, reference, max_route_flips_share=0.02)
    assert comparison.failures == ("6.00% of the routes flipped, allowed are 2.00%",)


def leaking(count: int) -> Candidate:
    """All right, but that `count` sensitive posts are most surely simple."""
    leaks = [place for place in range(POSTS) if ROUTES[RIGHT[place]] == "sensitive"][:count]
    said = [ROUTES.index("simple") if place in leaks else route for place, route in enumerate(RIGHT)]
    return candidate(predictions(said, [0.99 if place in leaks else 0.7 for place in range(POSTS)]))


def test_one_more_sensitive_post_answered_fails_by_the_bound_on_the_leak() -> None:
    comparison = judged(leaking(1))
    before, after = (float(beta.ppf(0.95, leaks + 1, 25 - leaks)) for leaks in (0, 1))
    assert comparison.reference_leak_bound == pytest.approx(before)
    assert comparison.leak_bound == pytest.approx(after)
    assert comparison.failures == ("the bound on the leak rose from 11.29% to 17.61%, allowed is no rise",)


def test_a_leak_that_fp32_has_as_well_is_not_held_against_int8() -> None:
    assert judged(leaking(1), leaking(1)).passed
    assert judged(leaking(1), leaking(2)).passed


def test_several_gates_are_all_named() -> None:
    comparison = judged(leaking(10), gates=Gates())
    assert [failure.split()[0] for failure in comparison.failures] == ["macro-F1", "AUGRC", "10.00%", "the"]


@pytest.mark.parametrize(("flips", "passed"), [(2, True), (3, False)])
def test_flips_on_the_line_pass_and_over_it_fail(flips: int, passed: bool) -> None:
    assert judged(candidate(predictions(wrong_on(flips))), max_route_flips_share=0.02).passed is passed


def test_a_better_model_passes_with_a_negative_loss() -> None:
    comparison = judged(right(), candidate(predictions(wrong_on(2))), Gates())
    assert comparison.passed
    assert comparison.macro_f1_loss_points < 0
    assert comparison.augrc_loss_points < 0


def test_flipped_intents_are_counted_but_are_no_gate() -> None:
    other = right().development.intent_probabilities.copy()
    other[:25] = np.roll(other[:25], 1, axis=1)
    comparison = judged(candidate(replace(right().development, intent_probabilities=other)))
    assert comparison.intent_flips_share == 0.25
    assert comparison.passed
