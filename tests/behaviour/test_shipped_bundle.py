"""The bundle that ships is what its own files say: gates held, proofs that add up, figures that come out again."""

from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binom

from data.fingerprint import fingerprint
from data.splits import PARTS, Splits
from data.taxonomy import ROUTES
from evaluation.metrics import accuracy, macro_f1
from evaluation.predictions import Predictions, predict_posts
from models.bundle import DEFAULT_BUNDLE, RECIPE_FILE, Bundle, load_bundle
from models.policy import Certificate
from models.predictor import Predictor
from training.quantize import EXCLUSIONS
from training.recipe import read_recipe
from training.runs import read_parts

ROOT = Path(__file__).parents[2]
MAX_BUNDLE_BYTES = 30_000_000
MAX_FLIPS_SHARE, MAX_LOSS_POINTS, MAX_FP32_DIFFERENCE = 0.02, 0.3, 1e-4
"""Issue 2; written here again on purpose, so that looser gates in a recipe are noticed."""
MIN_LEAD = 0.02
"""Over TF-IDF, in macro-F1: less is a bug, by the examples to follow."""
RISKS = ("leak_sensitive", "leak_influencer", "wrong")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(ROOT / DEFAULT_BUNDLE)


@pytest.fixture(scope="module")
def export(bundle: Bundle) -> dict[str, Any]:
    figures: dict[str, Any] = bundle.metrics["export"]
    return figures


@pytest.fixture(scope="module")
def splits(bundle: Bundle) -> Splits:
    return read_parts(read_recipe(bundle.directory / RECIPE_FILE))


@pytest.fixture(scope="module")
def scored(bundle: Bundle, splits: Splits) -> Predictions:
    """The calibration part scored anew by the bundle."""
    return predict_posts(Predictor.load(bundle), splits.part("calibration"), progress=False)


def test_the_bundle_is_small_enough_for_git(bundle: Bundle) -> None:
    assert sum(path.stat().st_size for path in bundle.directory.iterdir()) <= MAX_BUNDLE_BYTES


def test_the_fp32_graph_computed_what_torch_computes(export: dict[str, Any]) -> None:
    assert 0 <= export["fp32_difference"] <= MAX_FP32_DIFFERENCE


def test_the_gates_of_int8_hold_as_recorded(bundle: Bundle, export: dict[str, Any]) -> None:
    assert export["precision"] == bundle.manifest.precision
    comparison = export["comparison"]
    if bundle.manifest.precision == "fp32":
        assert comparison is None
        assert [each["left_in_fp32"] for each in export["refused"]] == list(EXCLUSIONS)
        return
    assert comparison["failures"] == []
    assert comparison["route_flips_share"] <= MAX_FLIPS_SHARE
    assert comparison["macro_f1_loss_points"] <= MAX_LOSS_POINTS
    assert comparison["augrc_loss_points"] <= MAX_LOSS_POINTS
    assert comparison["leak_bound"] <= comparison["reference_leak_bound"]


def test_every_graph_that_was_refused_had_a_reason(export: dict[str, Any]) -> None:
    assert all(each["failures"] for each in export["refused"])


def test_it_was_made_from_the_posts_as_they_are(bundle: Bundle, splits: Splits) -> None:
    assert bundle.manifest.data_fingerprint == fingerprint(splits.posts)
    counted = bundle.metrics["data"]
    assert counted["posts"] == len(splits.posts)
    assert {name: counted[f"{name}_posts"] for name in PARTS} == {name: len(splits.part(name)) for name in PARTS}


def test_it_beats_the_baseline_by_more_than_two_points(bundle: Bundle) -> None:
    ours = bundle.metrics["held_out"]["route"]["macro_f1"]["value"]
    assert ours - bundle.metrics["baseline"]["calibration_macro_f1"] > MIN_LEAD


def test_every_risk_has_a_certificate_for_the_budget_of_the_policy(bundle: Bundle) -> None:
    policy = bundle.policy
    assert [each.risk for each in policy.certificates] == list(RISKS)
    for each in policy.certificates:
        assert each.budget == getattr(policy.budget, each.risk)
        assert each.confidence == policy.budget.confidence


@pytest.mark.parametrize("risk", RISKS)
def test_a_certificate_follows_from_its_own_counts(bundle: Bundle, risk: str) -> None:
    (each,) = (each for each in bundle.policy.certificates if each.risk == risk)
    assert each.events <= each.trials
    assert each.p_value == pytest.approx(float(binom.cdf(each.events, each.trials, each.budget)), abs=1e-12)
    assert each.certified == (each.p_value <= 1 - each.confidence)
    if each.events < each.trials:
        # The bound is where so few events, or fewer, have just the chance that the confidence leaves.
        chance = float(binom.cdf(each.events, each.trials, each.upper_bound))
        assert chance == pytest.approx(1 - each.confidence, abs=1e-9)
    else:
        assert each.upper_bound == 1
    assert each.certified == (each.upper_bound <= each.budget)


def test_posts_are_answered_if_and_only_if_all_risks_are_proven(bundle: Bundle) -> None:
    proven = all(each.certified for each in bundle.policy.certificates)
    assert bundle.policy.thresholds.answer_nothing == (not proven)
    assert bundle.metrics["path"]["certified"] == proven


def certificate(bundle: Bundle, risk: str) -> Certificate:
    return next(each for each in bundle.policy.certificates if each.risk == risk)


@pytest.mark.slow
def test_the_calibration_part_scored_anew_has_the_recorded_figures(bundle: Bundle, scored: Predictions) -> None:
    recorded = bundle.metrics["held_out"]["route"]
    assert len(scored) == bundle.metrics["held_out"]["posts"]
    assert macro_f1(scored.routes, scored.predicted_routes, ROUTES) == recorded["macro_f1"]["value"]
    assert accuracy(scored.routes, scored.predicted_routes) == recorded["accuracy"]["value"]


@pytest.mark.slow
def test_the_leaks_scored_anew_are_those_that_were_certified(bundle: Bundle, scored: Predictions) -> None:
    closed = [decision.closed_by_machine for decision in scored.decide(bundle.policy)]
    for route in ("sensitive", "influencer"):
        leaks = [was and is_so for was, is_so in zip(closed, scored.is_route(route), strict=True)]
        recorded = bundle.metrics["held_out"]["decisions"]["leak"][route]
        assert (sum(leaks), int(scored.is_route(route).sum())) == (recorded["events"], recorded["trials"])
        if not bundle.policy.thresholds.answer_nothing:
            proof = certificate(bundle, f"leak_{route}")
            assert (proof.events, proof.trials) == (recorded["events"], recorded["trials"])
