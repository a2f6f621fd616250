"""The readers of a demo: two people who never were, and what they say of decisions by the labels given with posts.

Owns what is invented about them: how much they read and when, and how often they err. What they are given to read is
what the review queue gives anybody.
"""

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from sqlalchemy import Connection, insert
from ulid import ULID

from data.post import LabelledPost
from data.taxonomy import Intent, Route
from models.predictor import Predictor
from serving.engine import versions_of
from serving.journal.corrections import Correction, add_correction
from serving.journal.draws import read_draw
from serving.journal.filter import Filter
from serving.journal.queries import KeptPost, next_to_read
from serving.journal.reviews import Review, add_review
from serving.journal.rules import RuleWish, add_rule
from serving.journal.tables import LOTTERIES
from serving.workbench.demo.feed import OUTAGE, OUTAGE_MARK
from serving.workbench.review.queues import AUTOMATIC, QUEUES, next_posts

FIRST, SECOND = "demo-ada", "demo-ben"
READ: tuple[tuple[str, str, int], ...] = (
    (FIRST, "automatic", 260),
    (FIRST, "uncertain", 60),
    (FIRST, "abstained", 60),
    (FIRST, "newest", 120),
    (SECOND, "second", 160),
    (SECOND, "automatic", 90),
)
"""Who reads how many posts of which queue in a month, one after the other."""
CHANCE = 0.2
"""At which automatic answers are drawn from the first day on: some 400 of a month, of which some wait to be read."""
ERRORS = 0.04
"""The share of readings with another route than was given; two careful readers of real posts differ on 5 %."""
OTHER_INTENTS = 0.08
UNSURE = 0.02
CORRECTED = 40
"""At most so many of a month's readings that differ from the model become corrections."""
_MISTAKEN_FOR: Mapping[Route, Route] = MappingProxyType(
    {"simple": "complex", "complex": "simple", "sensitive": "complex", "influencer": "simple"}
)
KEPT_DAYS = 90
"""As the setting of the journal has it by default."""
_READ_WITHIN = timedelta(days=2)
_RULED_WITHIN = timedelta(days=7)
_LOOKED_AT = 500
"""Automatic answers, of which one that was wrong is looked for."""

Labels = tuple[Route, Intent]


def labels_of(post: KeptPost, corpus: Mapping[str, LabelledPost]) -> Labels | None:
    """The labels given with the post, by the id that the demo gave it, `None` for one that somebody else sent."""
    mark = (post.post_id or "").partition("/")[0]
    if mark == OUTAGE_MARK:
        return OUTAGE
    found = corpus.get(mark)
    return (found.route, found.intent) if found else None


def _reading(reader: str, post: KeptPost, labels: Labels, now: datetime) -> Review:
    """What a reader says of a post: its labels, now and then others, seldom nothing. The same whenever it is asked."""
    draw = random.Random(f"{reader} {post.prediction_id}")
    span = min(now - post.received_at, _READ_WITHIN)
    made_at = post.received_at + span * draw.random()
    review_id = str(ULID.from_bytes(round(made_at.timestamp() * 1_000).to_bytes(6, "big") + draw.randbytes(10)))
    if draw.random() < UNSURE:
        return Review(post.prediction_id, reader, "cannot_tell", id=review_id, made_at=made_at)
    route, intent = labels
    if draw.random() < ERRORS:
        route = _MISTAKEN_FOR[route]
    if draw.random() < OTHER_INTENTS:
        intent = max((each for each in post.intents if each != intent), key=post.intents.__getitem__)
    return Review(post.prediction_id, reader, "label", route, intent, id=review_id, made_at=made_at)


def begin_draw(connection: Connection, since: datetime) -> None:
    """Nothing; automatic answers are drawn from that time on.

    Written here, since on a server a setting never begins before it was made: only a past that is made up can have one.
    """
    row = {"since": since, "chance": CHANCE, "secret": "a demo's draw may be foreseen", "by": FIRST}
    connection.execute(insert(LOTTERIES), row)


def read_queues(
    connection: Connection, corpus: Mapping[str, LabelledPost], predictor: Predictor, now: datetime, share: float
) -> int:
    """How many posts the readers have read: that share of what they read in a month. Some become corrections."""
    read = corrected = 0
    for reader, name, most in READ:
        draw = read_draw(connection, versions_of(predictor), predictor.content, now, KEPT_DAYS)
        for post in next_posts(connection, QUEUES[name], reader, now, round(most * share), draw=draw):
            labels = labels_of(post, corpus)
            if labels is None:
                continue
            review = _reading(reader, post, labels, now)
            read += add_review(connection, review)
            differs = review.route == labels[0] != post.route and reader == FIRST
            if differs and corrected < round(CORRECTED * share):
                corrected += add_correction(connection, _correction(review))
    return read


def _correction(review: Review) -> Correction:
    return Correction(
        prediction_id=review.prediction_id,
        reader=review.reader,
        route=review.route or "",
        intent=review.intent or "",
        note="demo: by the label that was given with the post",
        id=review.id,
        made_at=review.made_at,
    )


def forbid_one(connection: Connection, corpus: Mapping[str, LabelledPost], now: datetime) -> bool:
    """True where a machine's answer to a post that is not simple was found, corrected, and forbidden from now on."""
    wanted = Filter(since=now - _RULED_WITHIN, until=now, actions=AUTOMATIC)
    for post in next_to_read(connection, wanted, order="newest", reader=FIRST, most=_LOOKED_AT):
        labels = labels_of(post, corpus)
        if labels is None or labels[0] == "simple":
            continue
        made_at = max(post.received_at, now - timedelta(hours=1))
        review = Review(post.prediction_id, FIRST, "label", *labels, made_at=made_at)
        add_review(connection, review)
        add_correction(connection, _correction(review))
        wish = RuleWish(post.prediction_id, "near", FIRST, "a machine must not answer this", now)
        return add_rule(connection, wish) is not None
    return False
