"""Decisions in a journal for the tests of the pages over it, and what people said of them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, TypeVar

import httpx
from starlette.testclient import TestClient

from serving.journal.database import Database
from serving.journal.filter import Filter
from serving.journal.queries import KeptPost, page_of_posts
from serving.journal.reviews import Review, add_review, reviews_between
from tests.serving.clients import WAIT_S, read_rules

Seen = TypeVar("Seen")
TEXTS = (
    "where is my parcel at the Leeds depot? call +44 20 7946 0958",
    "a cyclist was injured by your van in York",
    "the courier was late again in Bath and nobody cares",
    "thanks to the lady at the counter in Ely",
    "someone runs a scam with your name in Truro",
    "lol what a game that was in Ripon",
)


def judge(client: TestClient | httpx.Client, database: Database, texts: Sequence[str] = TEXTS) -> list[KeptPost]:
    """The decisions on `texts`, newest first, once the journal has them."""
    if isinstance(client, TestClient):
        read_rules(client)  # before that no machine answers
    else:
        until(
            lambda: client.get("/readyz").json(),
            lambda ready: "unread" not in (ready["rules"]["state"], ready["brake"]["state"]),
        )
    for number, text in enumerate(texts):
        answer: Any = client.post("/v1/predict", json={"id": f"crm-{number}", "text": text, "platform": "x"})
        assert answer.status_code == 200
    return until(lambda: list(database.read(page_of_posts, Filter()).posts), lambda posts: len(posts) == len(texts))


def until(look: Callable[[], Seen], fits: Callable[[Seen], bool]) -> Seen:
    """What is seen once it fits; asks again and again, and fails when it never does."""
    end = monotonic() + WAIT_S
    while not fits(seen := look()):
        assert monotonic() < end, seen
    return seen


def label(database: Database, post: KeptPost, reader: str, route: str, intent: str) -> None:
    database.write(add_review, Review(post.prediction_id, reader, "label", route, intent))


def said(database: Database) -> list[Review]:
    """All readings that stand, the oldest first."""
    now = datetime.now(UTC)
    return list(database.read(reviews_between, now - timedelta(days=1), now + timedelta(days=1)))
