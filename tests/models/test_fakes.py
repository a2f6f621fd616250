"""The fakes keep the promises of the ports they stand for."""

import numpy as np
import pytest

from data.post import Post
from data.rendering import Rendered
from data.taxonomy import BUILT_IN, ROUTES, Intent, Route
from models.predictor import Scorer
from tests.fakes import NOW, WORDS, FakeClassifier, fake_bundle, fake_predictor


def test_a_fake_classifier_is_a_scorer() -> None:
    scorer: Scorer = FakeClassifier()
    logits = scorer.logits([scorer.encode(Rendered(text="thanks", context="x"))])
    assert (logits.route.shape, logits.intent.shape) == ((1, len(ROUTES)), (1, len(BUILT_IN.names)))
    assert logits.route.dtype == logits.intent.dtype == np.float32


@pytest.mark.parametrize(("word", "route", "intent"), WORDS)
def test_each_word_has_its_labels_in_either_case(word: str, route: Route, intent: Intent) -> None:
    fake = FakeClassifier()
    logits = fake.logits([fake.encode(Rendered(text=f"so {word.upper()} then", context="x"))])
    assert ROUTES[int(logits.route[0].argmax())] == route
    assert BUILT_IN.names[int(logits.intent[0].argmax())] == intent


def test_a_text_without_a_known_word_is_complex_and_unsure() -> None:
    known, unknown = fake_predictor().predict([Post(text="where is my parcel"), Post(text="what about the weather")])
    assert (unknown.route, unknown.intent) == ("complex", "service_quality")
    assert max(unknown.routes.values()) < max(known.routes.values())


def test_a_fake_post_is_truncated_past_its_most_words() -> None:
    fake = FakeClassifier()
    encoded = [fake.encode(Rendered(text="word " * count, context="x")) for count in (300, 301)]
    assert [post.truncated for post in encoded] == [False, True]
    assert [post.tokens for post in encoded] == [302, 303]


def test_no_posts_give_no_rows() -> None:
    logits = FakeClassifier().logits([])
    assert (logits.route.shape, logits.intent.shape) == ((0, len(ROUTES)), (0, len(BUILT_IN.names)))


def test_a_fake_bundle_has_the_versions_of_this_program_and_a_clock_that_stands_still() -> None:
    bundle = fake_bundle()
    assert bundle.manifest.created_at == NOW
    assert bundle.taxonomy == BUILT_IN
    assert bundle.policy.version == "7"
