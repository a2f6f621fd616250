"""The model card says what was measured, whether or not anything was proven, and leaves no hole."""

import copy
import re
from typing import Any

import pytest

from models.bundle import Bundle, load_bundle
from models.policy import Policy, Thresholds
from tests.training.whole_run import WholeRun
from training.card import render_card
from training.recipe import Recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(whole_run: WholeRun) -> Bundle:
    assert whole_run.code == 0, whole_run.told
    return load_bundle(whole_run.bundle)


@pytest.fixture
def metrics(bundle: Bundle) -> dict[str, Any]:
    return copy.deepcopy(bundle.metrics)


def card(bundle: Bundle, recipe: Recipe, metrics: dict[str, Any], policy: Policy | None = None) -> str:
    text = render_card(bundle.manifest, recipe, policy or bundle.policy, metrics)
    assert not re.search(r"undefined|None|nan|\{\{|\{%", text, re.I)
    return text


def test_the_card_says_what_is_answered_where_it_is_proven(
    bundle: Bundle, recipe: Recipe, metrics: dict[str, Any]
) -> None:
    text = card(bundle, recipe, metrics)
    assert not bundle.policy.thresholds.answer_nothing
    assert f"`simple` is at least {bundle.policy.thresholds.simple:.3f}" in text
    assert len(re.findall(r"; the budget of .* is proven", text)) == len(bundle.policy.certificates) == 3
    assert "Nothing is answered automatically" not in text


def test_the_card_says_what_is_missing_where_nothing_is_proven(
    bundle: Bundle, recipe: Recipe, metrics: dict[str, Any]
) -> None:
    unproven = tuple(
        each.model_copy(update={"certified": False, "more_labels_needed": needed})
        for each, needed in zip(bundle.policy.certificates, (149, 0, None), strict=True)
    )
    policy = bundle.policy.model_copy(update={"thresholds": Thresholds(), "certificates": unproven})
    text = card(bundle, recipe, metrics, policy)
    assert "149 more sensitive posts needed" in text
    assert "no number of labels proves it at this rate" in text
    assert "Nothing is answered automatically until these are proven." in text
    assert "So a post is closed by the machine" not in text


def test_the_figures_on_the_card_are_the_measured_ones(bundle: Bundle, recipe: Recipe, metrics: dict[str, Any]) -> None:
    metrics["held_out"]["route"]["macro_f1"] = {"value": 0.1234, "low": 0.1111, "high": 0.1357}
    text = card(bundle, recipe, metrics)
    assert "| route macro-F1 | 0.123 | 0.111 | 0.136 |" in text
    for each in metrics["held_out"]["route"]["classes"]:
        assert re.search(rf"^\| {each['label']} \|.*\| {each['support']} \|$", text, re.M)


def test_the_card_of_an_fp32_bundle_has_no_comparison(bundle: Bundle, recipe: Recipe, metrics: dict[str, Any]) -> None:
    metrics["export"]["comparison"] = None
    assert "INT8 against fp32" in card(bundle, recipe, bundle.metrics)
    assert "INT8 against fp32" not in card(bundle, recipe, metrics)


def test_posts_from_outside_are_on_the_card_only_where_there_were_any(
    bundle: Bundle, recipe: Recipe, metrics: dict[str, Any]
) -> None:
    assert "On `posts.jsonl` (en), 200 posts that were only measured with" in card(bundle, recipe, metrics)
    metrics["outside"] = []
    assert "only measured with" not in card(bundle, recipe, metrics)


def test_a_figure_that_is_not_defined_is_a_dash(bundle: Bundle, recipe: Recipe, metrics: dict[str, Any]) -> None:
    metrics["held_out"]["route"]["classes"][3] |= {"precision": None, "recall": None, "f1": None, "support": 0}
    assert "| influencer | – | – | – | 0 |" in card(bundle, recipe, metrics)  # noqa: RUF001 (the dash of the card)


def test_the_card_says_of_the_posts_what_the_recipe_says(
    bundle: Bundle, recipe: Recipe, metrics: dict[str, Any]
) -> None:
    words = {"origin": "exported from our desk in May", "limits": ("No posts of a Sunday.",)}
    said = recipe.data.model_copy(update=words)
    text = card(bundle, recipe.model_copy(update={"data": said}), metrics)
    assert "posts, exported from our desk in May, fingerprint" in text
    assert "- No posts of a Sunday.\n- Posts in other languages than en go to an agent." in text
    for ours in ("written for this project", "CC BY 4.0", "British", "Apache-2.0"):
        assert ours not in text
