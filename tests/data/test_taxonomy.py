"""The labels and their order: part of every trained artefact, so held here letter by letter."""

import re
from pathlib import Path

import pytest

from data.taxonomy import INTENTS, PLATFORMS, ROUTES, TAXONOMY_VERSION, UnknownTaxonomyError, taxonomy

GUIDE = Path("data/corpus/labelling-guide.md").read_text(encoding="utf-8")


def test_version_1_has_these_routes_in_this_order() -> None:
    assert taxonomy("1").routes == ("simple", "complex", "sensitive", "influencer")


def test_version_1_has_these_intents_in_this_order() -> None:
    assert " ".join(taxonomy("1").intents) == (
        "order_status product_info store_info pricing_plans how_to account_access billing_payment refund_return "
        "change_cancel delivery_problem fault_outage service_quality praise suggestion not_service fraud_security "
        "safety_health legal_regulatory discrimination_conduct vulnerable_wellbeing privacy_data"
    )


def test_the_current_taxonomy_is_what_posts_may_carry() -> None:
    assert (taxonomy().version, taxonomy().routes, taxonomy().intents) == (TAXONOMY_VERSION, ROUTES, INTENTS)


def test_the_guide_explains_the_same_intents_in_the_same_order() -> None:
    table = GUIDE.split("## Intent")[1].split("## Fields")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.M)) == INTENTS


def test_the_guide_explains_the_same_routes() -> None:
    table = GUIDE.split("### Sensitive")[0]
    assert set(re.findall(r"^\| \d \| `(\w+)` \|", table, re.M)) == set(ROUTES)


def test_the_guide_names_the_same_platforms() -> None:
    row = next(line for line in GUIDE.splitlines() if line.startswith("| `platform` |"))
    assert tuple(re.findall(r"`(\w+)`", row)[1:]) == PLATFORMS


def test_an_unknown_version_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownTaxonomyError) as refused:
        taxonomy("7")
    assert str(refused.value) == (
        "No taxonomy has version '7'. Known versions: 1. Use one of these, "
        "or update Signalbox to a release that knows it."
    )
