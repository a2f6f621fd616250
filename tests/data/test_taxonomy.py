"""The labels and their order: part of every trained artefact, so the built-in ones are held here letter by letter."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from data.rejects import SourceError
from data.sources import read_taxonomy
from data.taxonomy import BUILT_IN, MAX_INTENTS, PLATFORMS, ROUTES, Taxonomy
from tests.data.own_taxonomy import OWN, OWN_TOML

GUIDE = Path("data/corpus/labelling-guide.md").read_text(encoding="utf-8")


def test_the_routes_stand_in_this_order() -> None:
    assert ROUTES == ("simple", "complex", "sensitive", "influencer")


def test_version_1_has_these_intents_in_this_order() -> None:
    assert BUILT_IN.version == "1"
    assert " ".join(BUILT_IN.names) == (
        "order_status product_info store_info pricing_plans how_to account_access billing_payment refund_return "
        "change_cancel delivery_problem fault_outage service_quality praise suggestion not_service fraud_security "
        "safety_health legal_regulatory discrimination_conduct vulnerable_wellbeing privacy_data"
    )


def test_of_version_1_two_intents_lose_nothing_by_silence_and_one_is_closed_so() -> None:
    assert BUILT_IN.needs_no_reply == ("praise", "not_service")
    assert BUILT_IN.no_reply_intents == ("not_service",)


def test_the_guide_explains_the_same_intents_in_the_same_order() -> None:
    table = GUIDE.split("## Intent")[1].split("## Fields")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.M)) == BUILT_IN.names


def test_the_guide_explains_the_same_routes() -> None:
    table = GUIDE.split("### Sensitive")[0]
    assert set(re.findall(r"^\| \d \| `(\w+)` \|", table, re.M)) == set(ROUTES)


def test_the_guide_names_the_same_platforms() -> None:
    row = next(line for line in GUIDE.splitlines() if line.startswith("| `platform` |"))
    assert tuple(re.findall(r"`(\w+)`", row)[1:]) == PLATFORMS


def test_a_taxonomy_of_ones_own_is_a_file_whose_order_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "acme.toml"
    file.write_text(OWN_TOML)
    assert read_taxonomy(file) == OWN
    assert OWN.names == ("where_is_it", "broken_thing", "thanks", "chatter")


def test_a_taxonomy_is_read_from_json_as_a_bundle_keeps_it(tmp_path: Path) -> None:
    file = tmp_path / "taxonomy.json"
    file.write_text(OWN.model_dump_json())
    assert read_taxonomy(file) == OWN


INTENTS = {"a": "One.", "b": "Two."}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"version": "Acme 1"}, "version: String should match pattern"),
        ({"version": "1"}, "version '1' is that of the built-in intents; wanted a version of its own"),
        ({"intents": {"a": "Alone."}}, "intents: Dictionary should have at least 2 items"),
        ({"intents": {f"i{n}": "One." for n in range(MAX_INTENTS + 1)}}, "intents: Dictionary should have at most 256"),
        ({"intents": {"Order Status": "One.", "b": "Two."}}, r"intents.Order Status.\[key\]: String should match"),
        ({"intents": {"a": "", "b": "Two."}}, "intents.a: String should have at least 1 character"),
        ({"intents": {"a": "One.\nTwo.", "b": "Two."}}, "intents.a: String should match pattern"),
        ({"routes": ["a", "b"]}, "routes: Extra inputs are not permitted"),
        ({"needs_no_reply": ["c"]}, r"needs_no_reply names 'c'; wanted names of \[intents\]: a, b"),
        ({"no_reply_intents": ["a"]}, "no_reply_intents names 'a'; wanted names of needs_no_reply: none"),
    ],
)
def test_a_file_that_is_no_taxonomy_is_refused_with_the_place(
    changes: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "acme.json"
    file.write_text(json.dumps({"version": "acme-1", "intents": INTENTS} | changes))
    with pytest.raises(
        SourceError, match=f"^The taxonomy {file} cannot be used: .*{problem}.*docs/data.md shows one.$"
    ):
        read_taxonomy(file)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"version = ", "Invalid value"),
        (b"[intents]\na = 'One.'\na = 'Two.'", "Cannot overwrite a value"),
        (b"\xff", "codec can't decode"),
        (None, "No such file or directory"),
    ],
    ids=["cut", "a name twice", "no UTF-8", "missing"],
)
def test_a_file_that_cannot_be_read_is_refused(content: bytes | None, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "acme.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(
        SourceError, match=f"^The taxonomy {file} cannot be used: .*{problem}.* Wanted TOML with a version"
    ):
        read_taxonomy(file)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("Where is-it", "where_is_it"), ("brocken_thing", "broken_thing"), ("thank", "thanks"), ("zzz", None)],
)
def test_the_nearest_intent_is_found_whatever_the_spelling(name: str, nearest: str | None) -> None:
    assert OWN.nearest(name) == nearest


def test_of_a_long_list_the_head_is_shown() -> None:
    long = Taxonomy(version="long-1", intents={f"i{n}": "One." for n in range(50)})
    assert long.wanted.startswith("one of the 50 intents of taxonomy long-1: i0, i1, ")
    assert long.wanted.endswith(" i39, and 10 more")


def test_a_taxonomy_never_changes() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        OWN.version = "acme-2"
