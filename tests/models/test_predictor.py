"""The whole answer: order kept, no post answered by another's words, every stage observed, the policy replaceable."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.post import Author, Post
from data.taxonomy import BUILT_IN, ROUTES
from models.calibration import Calibration
from models.guards import Guards, LanguageDetector
from models.policy import GuardLines, Policy, Template
from models.predictor import STAGES, Predictor, Stage, decide_scores
from tests.fakes import BOLD_POLICY, NOW, FakeClassifier, fake_bundle, fake_predictor

TEXTS = (
    "where is my parcel?",
    "I was injured by your heater",
    "journalist here, two questions about the launch",
    "it broke again and nobody answers",
    "lol nice one",
    "call me on 07911 123456 about my parcel",
    "wo ist denn mein Paket geblieben, ich warte seit Tagen darauf",
    "@brand https://t.co/abc",
)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return fake_predictor()


@pytest.fixture(scope="module")
def guards() -> Guards:
    return Guards(LanguageDetector())


def test_an_easy_post_is_answered_with_its_labels_and_probabilities(predictor: Predictor) -> None:
    (prediction,) = predictor.predict([Post(text="where is my parcel?")])
    assert (prediction.route, prediction.intent, prediction.decision.action) == (
        "simple",
        "order_status",
        "auto_answer",
    )
    assert list(prediction.routes) == list(ROUTES)
    assert list(prediction.intents) == list(BUILT_IN.names)
    assert sum(prediction.routes.values()) == pytest.approx(1.0)
    assert prediction.routes["simple"] == max(prediction.routes.values())


@pytest.mark.parametrize(
    ("text", "action", "queue"),
    [
        ("I was injured by your heater", "specialist", "sensitive"),
        ("journalist here, two questions about the launch", "specialist", "influencer"),
        ("it broke again and nobody answers", "agent", "agents"),
        ("lol nice one", "no_reply", "closed"),
        ("call me on 07911 123456 about my parcel", "specialist", "privacy"),
        ("wo ist denn mein Paket geblieben, ich warte seit Tagen darauf", "agent", "agents"),
        ("@brand https://t.co/abc", "agent", "agents"),
        ("where is my parcel? " + "word " * 300, "agent", "agents"),
    ],
)
def test_each_kind_of_post_goes_where_the_policy_says(text: str, action: str, queue: str, predictor: Predictor) -> None:
    (prediction,) = predictor.predict([Post(text=text)])
    assert (prediction.decision.action, prediction.decision.queue) == (action, queue)


def test_no_posts_get_no_predictions(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


@given(texts=st.lists(st.sampled_from(TEXTS), max_size=12))
def test_answers_come_in_order_and_none_depends_on_the_others(predictor: Predictor, texts: list[str]) -> None:
    posts = [Post(text=text) for text in texts]
    assert predictor.predict(posts) == [predictor.predict([post])[0] for post in posts]


def test_every_stage_is_observed_once_a_call_in_order(predictor: Predictor) -> None:
    seen: list[tuple[Stage, float]] = []
    predictor.predict([Post(text=text) for text in TEXTS], observe=lambda stage, seconds: seen.append((stage, seconds)))
    assert tuple(stage for stage, _ in seen) == STAGES
    assert all(seconds >= 0 for _, seconds in seen)


def test_a_policy_of_ones_own_replaces_the_bundles(guards: Guards) -> None:
    strict = BOLD_POLICY.model_copy(update={"version": "8", "guards": GuardLines(vip_handles=("@ada",))})
    predictor = Predictor(fake_bundle(), FakeClassifier(), guards, policy=strict, now=lambda: NOW)
    (prediction,) = predictor.predict([Post(text="where is my parcel?", author=Author(handle="@ada"))])
    assert predictor.policy.version == "8"
    assert predictor.bundle.policy.version == "7"
    assert [reason.code for reason in prediction.decision.reasons] == ["vip_author"]


def test_the_authorities_of_the_policy_are_rendered_as_such() -> None:
    policy = BOLD_POLICY.model_copy(update={"guards": GuardLines(extra_authority_handles=("@our_council",))})
    (prediction,) = fake_predictor(policy).predict([Post(text="@our_council look, my parcel")])
    assert prediction.facts.authority == "an authority is tagged"


def test_a_template_is_in_date_by_the_clock_of_the_predictor(guards: Guards) -> None:
    template = Template(intent="order_status", approved=True, valid_until=NOW.date())
    policy = BOLD_POLICY.model_copy(update={"inventory": (template,)})
    post = Post(text="where is my parcel?")

    def on(day: int) -> str:
        clock = datetime(2026, 11, day, tzinfo=UTC)
        predictor = Predictor(fake_bundle(policy), FakeClassifier(), guards, now=lambda: clock)
        return predictor.predict([post])[0].decision.action

    assert [on(22), on(23)] == ["auto_answer", "agent"]


def test_scores_can_be_decided_again_without_the_model(predictor: Predictor) -> None:
    posts = [Post(text=text) for text in TEXTS]
    scores = predictor.score(posts)
    assert [decide_scores(score, BUILT_IN, predictor.policy) for score in scores] == predictor.predict(posts)
    cautious = [decide_scores(score, BUILT_IN, Policy()) for score in scores]
    assert not any(prediction.decision.closed_by_machine for prediction in cautious)


def test_the_temperatures_of_the_bundle_calibrate_the_scores(guards: Guards) -> None:
    bundle = fake_bundle()
    post = Post(text="where is my parcel?")
    plain = Predictor(bundle, FakeClassifier(), guards).score([post])[0]
    warm_bundle = replace(bundle, calibration=Calibration(route_temperature=4.0, intent_temperature=2.0))
    warm = Predictor(warm_bundle, FakeClassifier(), guards).score([post])[0]
    # The fake is sure by a logit of 8 over zeros, so the odds against each other label are exp(8 / temperature).
    assert np.log(plain.routes[0] / plain.routes[1]) == pytest.approx(8.0)
    assert np.log(warm.routes[0] / warm.routes[1]) == pytest.approx(2.0)
    assert np.log(warm.intents.max() / warm.intents.min()) == pytest.approx(4.0)


def test_the_tokens_of_a_post_are_counted(predictor: Predictor) -> None:
    assert predictor.score([Post(text="where is my parcel?")])[0].tokens == 6


@pytest.mark.parametrize("text", [*TEXTS, "word " * (FakeClassifier.max_words + 1)])
def test_what_was_read_with_the_facts_that_were_found_gives_the_same_prediction_again(
    text: str, predictor: Predictor
) -> None:
    (first,) = predictor.predict([Post(text=text, platform="x", author=Author(followers=60_000, bio="leeds | snow"))])
    assert first.rendered.context.startswith("x. followers over 50k")
    assert predictor.predict_rendered(first.rendered, first.facts) == first


def test_how_much_of_a_text_is_read_is_found_anew(predictor: Predictor) -> None:
    (first,) = predictor.predict([Post(text="where is my parcel?")])
    claimed = replace(first.facts, truncated=True)
    assert predictor.predict_rendered(first.rendered, claimed) == first
