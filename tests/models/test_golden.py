"""A bundle that computes something else than when it was written is found, and one that does not is left in peace."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.post import Post
from data.taxonomy import ROUTES
from models.bundle import BundleError, load_bundle
from models.golden import TOLERANCE, Golden, departures, record
from models.policy import Facts, Policy, Template
from models.predictor import Prediction, Predictor
from tests.fakes import BOLD_POLICY, NOW, fake_predictor
from tests.models.tiny_bundle import write_tiny_bundle

POSTS = [Post(id="g-1", text="where is my parcel?"), Post(id="g-2", text="injured"), Post(id="g-3", text="hello")]
PREDICTOR = fake_predictor()


def made() -> tuple[Golden, list[Prediction]]:
    found = PREDICTOR.predict(POSTS)
    return record(POSTS, found, BOLD_POLICY, NOW), found


def off(golden: Golden, found: list[Prediction], policy: Policy = BOLD_POLICY) -> list[str]:
    return list(departures(golden, found, policy, 0.1))


def test_what_is_computed_as_it_was_is_no_departure() -> None:
    golden, found = made()
    assert off(golden, found) == []
    assert off(Golden.model_validate_json(golden.model_dump_json()), found) == []


def test_no_text_of_a_post_is_in_what_is_said() -> None:
    golden, found = made()
    for line in off(golden, [*found[1:], found[0]]):
        assert not [post.text for post in POSTS if post.text in line]


@given(shift=st.floats(-0.5, 0.5), route=st.sampled_from(ROUTES))
def test_a_probability_may_differ_by_the_tolerance_and_no_more(shift: float, route: str) -> None:
    golden, found = made()
    shifted = replace(found[2], routes={label: p + shift * (label == route) for label, p in found[2].routes.items()})
    departed = off(golden, [*found[:2], shifted])
    if abs(shift) < 0.0999:
        assert departed == []
    elif abs(shift) > 0.1001:
        assert len(departed) == 1
        assert departed[0].startswith(f"golden post g-3: {route} ")


def test_a_probability_that_is_no_number_is_a_departure() -> None:
    golden, found = made()
    broken = replace(found[0], intents=dict.fromkeys(found[0].intents, float("nan")))
    (line,) = off(golden, [broken, *found[1:]])
    assert line.startswith("golden post g-1: ")


@pytest.mark.parametrize(
    "differ",
    [
        lambda facts: replace(facts, supported_language=False),
        lambda facts: replace(facts, readable=False),
        lambda facts: replace(facts, exposed=("card",)),
        lambda facts: replace(facts, followers=50_000),
    ],
    ids=["language", "readable", "exposed", "followers"],
)
def test_a_guard_that_finds_something_else_is_a_departure_though_the_scores_are_the_same(
    differ: Callable[[Facts], Facts],
) -> None:
    golden, found = made()
    (line,) = off(golden, [replace(found[0], facts=differ(found[0].facts)), *found[1:]])
    assert line.startswith("golden post g-1: ")
    assert line.endswith("where auto_answer (simple_over_threshold) was recorded")


def test_a_template_that_has_gone_out_of_date_since_is_no_departure() -> None:
    template = Template(intent="order_status", approved=True, valid_until=NOW.date())
    policy = BOLD_POLICY.model_copy(update={"inventory": (template,)})
    later = Predictor(
        PREDICTOR.bundle, PREDICTOR._classifier, PREDICTOR.guards, policy=policy, now=lambda: NOW + timedelta(days=9)
    )
    golden = record(POSTS, PREDICTOR.under(policy).predict(POSTS), policy, NOW)
    assert golden.posts[0].decision.action == "auto_answer"
    assert later.predict(POSTS)[0].decision.action == "agent"
    assert off(golden, later.predict(POSTS), policy) == []


def test_integers_may_differ_more_than_floating_point() -> None:
    assert TOLERANCE["fp32"] < TOLERANCE["int8"]


def test_a_bundle_that_computes_something_else_is_refused_when_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = write_tiny_bundle(tmp_path / "bundle").directory
    assert Predictor.load(load_bundle(directory)).predict([Post(text="thanks")])[0].route == "simple"
    monkeypatch.setattr("models.classifier._SIMPLE", 1)  # the windows of a post joined otherwise
    with pytest.raises(BundleError) as refused:
        Predictor.load(load_bundle(directory))
    message = str(refused.value)
    assert message.startswith(f"Bundle {directory} computes something else here than where it was made: golden post ")
    assert "Wanted: every probability within 0.001 of the recorded one, and the same decision. Install" in message


def test_an_override_of_the_policy_does_not_change_what_a_bundle_must_compute(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    cautious = Policy(version="cautious")
    assert Predictor.load(bundle, policy=cautious).policy == cautious
