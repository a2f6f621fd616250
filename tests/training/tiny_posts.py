"""Labelled posts that a tiny network learns in seconds: every kind of post has words of its own. All ours."""

import random
from dataclasses import dataclass

from data.post import Author, LabelledPost
from data.splits import PartName
from data.taxonomy import Intent, Route

SHARES: dict[PartName, float] = {"train": 0.55, "development": 0.15, "temperature": 0.1, "calibration": 0.2}
"""A tiny set needs larger parts for proving than the corpus does."""
POSTS = 200


@dataclass(frozen=True, slots=True)
class Kind:
    """Posts of one meaning: their labels, and the words that only they use."""

    route: Route
    intent: Intent
    words: tuple[str, ...]


KINDS = (
    Kind("simple", "order_status", ("where", "track", "parcel", "arrive", "courier")),
    Kind("simple", "praise", ("love", "thanks", "brilliant", "helpful", "cheers")),
    Kind("complex", "billing_payment", ("charged", "twice", "refund", "invoice", "wrong")),
    Kind("complex", "fault_outage", ("broken", "again", "router", "restart", "failed")),
    Kind("sensitive", "safety_health", ("injured", "smoke", "burned", "hospital", "allergic")),
    Kind("sensitive", "fraud_security", ("scam", "stolen", "hacked", "phishing", "fake")),
    Kind("influencer", "product_info", ("subscribers", "channel", "review", "filming", "audience")),
)
FILLER = (
    *("the", "my", "your", "this", "that", "from", "with", "and", "now", "today", "please", "still", "have", "when"),
    *("team", "shop", "app", "order", "been", "last", "week", "new", "just", "said", "after", "before", "there", "why"),
)
WORDS = (*(word for kind in KINDS for word in kind.words), *FILLER)


def _author(kind: Kind, draw: random.Random) -> Author | None:
    if kind.route == "influencer":
        return Author(followers=draw.randrange(10_000, 49_000), verified=True, bio="channel with an audience")
    return Author(followers=draw.randrange(900), verified=False) if draw.random() < 0.5 else None


def _post(place: int) -> LabelledPost:
    draw, kind = random.Random(place), KINDS[place % len(KINDS)]
    words = draw.sample(kind.words, 2) + draw.sample(FILLER, draw.randrange(4, 9))
    draw.shuffle(words)
    return LabelledPost(
        id=f"t-{place:04}",
        text=" ".join(words),
        platform="x",
        lang="en",
        author=_author(kind, draw),
        route=kind.route,
        intent=kind.intent,
    )


def tiny_posts(count: int = POSTS) -> list[LabelledPost]:
    """The first `count` posts; all kinds equally often, the same at every call."""
    return [_post(place) for place in range(count)]
