"""What is read next: where models disagree, and what came in hours out of the ordinary."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from serving.journal.database import Database
from serving.journal.entry import Comparison, Entry
from serving.journal.store import Store
from serving.workbench.review.queues import QUEUES, next_posts
from serving.workbench.review.spikes import find_hours
from tests.serving.desks import made
from tests.workbench.conftest import Bench, on_both
from tests.workbench.decisions import label
from tests.workbench.signing import sign_in

pytestmark = on_both
NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
SURE: dict[Any, float] = {"simple": 1.0, "complex": 0.0, "sensitive": 0.0, "influencer": 0.0}


def read(database: Database, queue: str, reader: str = "Ada") -> list[int]:
    """The places of the posts that come next."""
    return [int(post.prediction_id) for post in database.read(next_posts, QUEUES[queue], reader, NOW, 20)]


def beside(entry: Entry, distance: float, **changed: str) -> Comparison:
    """Another model so far from a decision, and with another label where one is given."""
    prediction = entry.prediction
    said = {"route": prediction.route, "action": prediction.decision.action, **changed}
    other = SURE | {"simple": 1.0 - distance, "complex": distance}
    return Comparison(entry.answer.prediction_id, NOW, "new", said["route"], said["action"], other, SURE)


def test_models_disagree_on_another_route_or_action_and_the_least_alike_come_first(
    store: Store, database: Database
) -> None:
    entries = [made(place, f"where is parcel {place}", NOW - HOUR) for place in range(5)]
    store.write(entries)
    store.write(
        [
            beside(entries[0], 0.2, route="complex"),
            beside(entries[1], 0.9, action="agent"),
            beside(entries[2], 0.8),  # far, and of one mind
            beside(entries[3], 0.6, route="sensitive", action="specialist"),
        ]
    )
    assert read(database, "disagreement") == [1, 3, 0]
    label(database, database.read(next_posts, QUEUES["disagreement"], "Ada", NOW, 1)[0], "Ada", "complex", "praise")
    assert read(database, "disagreement") == [3, 0]
    assert read(database, "disagreement", "Ben") == [1, 3, 0]


def test_what_to_read_next_is_of_each_queue_its_share_and_each_post_once(store: Store, database: Database) -> None:
    automatic = [made(place, f"where is parcel {'abcdefgh'[place]}", NOW - HOUR) for place in range(8)]
    failed = [made(place, f"{'abcdefgh'[place - 8]} late again", NOW - HOUR) for place in range(8, 14)]
    store.write([*automatic, *failed, *(beside(entry, 0.9, route="sensitive") for entry in failed[:3])])
    queued, drawn, apart = (read(database, queue) for queue in ("next", "automatic", "disagreement"))
    assert sorted(queued) == list(range(14))
    assert len(apart) == 3
    assert queued[0] == drawn[0]
    assert queued.index(apart[0]) < 4
    assert queued.index(drawn[1]) < 4


def weeks(each: int, many: int, now: datetime = NOW) -> list[Entry]:
    """Five weeks with so many posts in one hour of each, no two alike, and in the last of them `many` that are."""
    at = now - 3 * HOUR
    usual = [at - timedelta(weeks=week, minutes=place) for week in range(6) for place in range(each)]
    texts = ["thanks {}", "where is {} now", "{} is late again", "I love {}", "the {} was rude", "can {} call me"]
    entries = [
        made(place, texts[place % 6].format("abcdefghij"[place % 10] * (2 + place)), when)
        for place, when in enumerate(usual)
    ]
    return entries + [
        made(1_000 + n, "your app has eaten my money", at - n * timedelta(seconds=20)) for n in range(many)
    ]


def found(database: Database) -> list[tuple[datetime, bool, int]]:
    def look(connection: Connection) -> list[tuple[datetime, bool, int]]:
        return [(each.since, each.cluster is not None, each.posts) for each in find_hours(connection, NOW)]

    return database.read(look)


def test_an_hour_with_far_more_posts_than_usual_is_read_by_turns(store: Store, database: Database) -> None:
    store.write(weeks(each=4, many=12))
    nine = datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert found(database) == [(nine, True, 12), (nine, False, 16)]
    queued = read(database, "spikes")
    assert len(queued) == 16
    alike = [place >= 1_000 for place in queued]
    assert alike[:8] == [True, False] * 4, "of the same words and of the hour by turns"
    assert all(alike[8:])


def test_an_ordinary_hour_and_a_young_journal_have_no_spikes(store: Store, database: Database) -> None:
    store.write(weeks(each=4, many=0))
    assert found(database) == []
    assert read(database, "spikes") == []


def test_in_a_journal_of_two_weeks_nothing_is_usual(store: Store, database: Database) -> None:
    store.write([entry for entry in weeks(each=4, many=12) if entry.caller.received_at > NOW - timedelta(weeks=2)])
    assert found(database) == []


def test_the_page_says_why_a_queue_is_empty(bench: Bench) -> None:
    with bench() as client:
        sign_in(client, "Ada")
        for queue in ("next", "disagreement", "spikes"):
            page = client.get("/qa/review", params={"queue": queue})
            assert page.status_code == 200
            assert QUEUES[queue].about.capitalize()[:20] in page.text
            assert client.get("/qa/review/next", params={"queue": queue}).json() == {"posts": []}
