"""Labelled sets for the tests of evaluation: written ones for the fake predictor, drawn ones for the statistics."""

from functools import cache

import numpy as np

from data.post import Author, LabelledPost, Reach
from data.taxonomy import BUILT_IN, ROUTES, Intent, Route
from evaluation.predictions import Predictions
from models.guards import Guards, LanguageDetector
from models.policy import Facts, Policy
from models.predictor import Predictor
from tests.fakes import BOLD_POLICY, NOW, FakeClassifier, fake_bundle

Row = tuple[str, Route, Intent]
RIGHT: tuple[Row, ...] = (
    ("a cyclist was injured by your van outside the depot", "sensitive", "safety_health"),
    ("someone runs a scam with your name on it", "sensitive", "fraud_security"),
    ("journalist here, who speaks for the company", "influencer", "product_info"),
    ("the courier was late again and nobody cares", "complex", "service_quality"),
    ("ordered on monday and still nothing arrived", "complex", "delivery_problem"),
    ("where do I track my parcel please", "simple", "order_status"),
    ("thanks to the lady at the counter today", "simple", "praise"),
    ("lol what a game that was last night", "simple", "not_service"),
)
WRONG: tuple[Row, ...] = (
    ("my parcel came with another customer's letter in it", "sensitive", "privacy_data"),
    ("the parcel was due tuesday and never came", "complex", "delivery_problem"),
    ("can I change the address of my parcel", "simple", "change_cancel"),
    ("my show covers your parcel service tonight", "influencer", "product_info"),
    ("what a mess this whole thing has become", "simple", "not_service"),
)
PLACES = ("Leeds", "York", "Bath", "Ely", "Truro", "Ripon", "Wells", "Derby")


@cache
def _guards() -> Guards:
    return Guards(LanguageDetector())


def predictor(policy: Policy = BOLD_POLICY) -> Predictor:
    """The fake predictor; the language model is read once for all tests."""
    return Predictor(fake_bundle(policy), FakeClassifier(), _guards(), now=lambda: NOW)


def labelled_post(number: int, row: Row, **more: object) -> LabelledPost:
    """A labelled post with the words of `row`, made unlike its brothers by place and number."""
    text, route, intent = row
    place = PLACES[number % len(PLACES)]
    fields = {
        "id": f"post-{number:04}",
        "text": f"{text} at {place} branch {number}",
        "lang": "en",
        "platform": ("x", "facebook", "reddit")[number % 3],
        "industry": ("retail", "travel")[number % 2],
        "author": Author(handle=f"person{number}", followers=number) if number % 4 else None,
        "reach": Reach(reposts=number % 9) if number % 5 else None,
        "route": route,
        "intent": intent,
    }
    return LabelledPost.model_validate(fields | more)


def labelled_posts(copies: int = 10, wrong_copies: int = 1) -> list[LabelledPost]:
    """A set on which the fake predictor is right, but for `wrong_copies` of each row of `WRONG`."""
    rows = [*RIGHT * copies, *WRONG * wrong_copies]
    return [labelled_post(number, row) for number, row in enumerate(rows)]


def _softmax(
    logits: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float64)


def drawn_predictions(
    posts: int,
    seed: int,
    *,
    strength: float = 3.0,
    mix: tuple[float, ...] = (0.45, 0.30, 0.15, 0.10),
    hidden: float = 0.0,
) -> Predictions:
    """Posts drawn at random with scores of a model whose true logits stand `strength` above the noise (sd 1.5).

    To the model a share `hidden` of all posts looks simple, whatever they are.
    """
    random = np.random.default_rng(seed)
    routes = random.choice(len(ROUTES), size=posts, p=mix)
    intents = random.integers(len(BUILT_IN.names), size=posts)
    seen = np.where(random.uniform(size=posts) < hidden, ROUTES.index("simple"), routes)
    route_logits = random.normal(scale=1.5, size=(posts, len(ROUTES))) + strength * np.eye(len(ROUTES))[seen]
    intent_logits = (
        random.normal(size=(posts, len(BUILT_IN.names))) + 2 * strength * np.eye(len(BUILT_IN.names))[intents]
    )
    return Predictions(
        posts=tuple(
            LabelledPost(
                id=f"{seed}-{number}",
                text=f"post {number}",
                lang="en",
                route=ROUTES[route],
                intent=BUILT_IN.names[intent],
            )
            for number, (route, intent) in enumerate(zip(routes, intents, strict=True))
        ),
        routes=routes.astype(np.int64),
        intents=intents.astype(np.int64),
        route_probabilities=_softmax(route_logits),
        intent_probabilities=_softmax(intent_logits),
        facts=tuple(Facts() for _ in range(posts)),
        groups=np.arange(posts) // 2,
        taxonomy=BUILT_IN,
    )
