"""The workbench's questions to the journal: what they count, and that a filter means what it says."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path

import pytest
from sqlalchemy import Connection

from serving.journal.database import Database, open_database
from serving.journal.entry import pseudonym_of
from serving.journal.facets import Clusters
from serving.journal.faults import EntryRefusedError, StoreDownError
from serving.journal.filter import Filter
from serving.journal.queries import (
    Cell,
    Count,
    FollowUps,
    Promise,
    Reading,
    choices,
    clusters,
    confidences,
    confusion,
    counts,
    counts_by_time,
    find_post,
    follow_ups,
    latencies,
    next_to_read,
    page_of_posts,
    promise,
    reviewed_ids,
    reviewed_posts,
)
from serving.journal.reviews import Review, add_review, last_review
from serving.journal.store import open_store
from serving.settings import Settings
from tests.serving.desks import KEY, NOON, fill, made
from tests.serving.journals import address_of


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A filled journal, for tests that only ask."""
    with closing(fill(address_of(tmp_path_factory.mktemp("desk") / "journal.db"))) as database:
        yield database


def places(posts: object) -> list[int]:
    assert isinstance(posts, tuple)
    return [int(post.prediction_id) for post in posts]


def test_pages_go_from_the_newest_to_the_oldest_without_a_gap(desk: Database) -> None:
    seen: list[int] = []
    after: str | None = None
    while True:
        page = desk.read(page_of_posts, Filter(), after=after, most=7)
        seen += places(page.posts)
        if (after := page.next) is None:
            break
    assert seen == list(range(29, -1, -1))


def test_a_post_comes_with_all_that_was_answered(desk: Database) -> None:
    post = desk.read(find_post, f"{2:026d}")
    assert post is not None
    assert (post.text, post.context, post.platform) == (
        "I was injured by your toaster",
        "facebook",
        "facebook",
    )
    assert (post.route, post.action, post.queue) == ("sensitive", "specialist", "sensitive")
    assert post.routes["sensitive"] == post.confidence
    assert [code for code, _ in post.reasons] == ["sensitive_over_threshold"]
    assert post.received_at == NOON + timedelta(hours=1)
    assert post.author == pseudonym_of("author2", KEY)


def test_a_prediction_that_is_not_there_is_none(desk: Database) -> None:
    assert desk.read(find_post, "0" * 26 + "x") is None


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(since=NOON + timedelta(hours=14)), [29, 28]),
        (Filter(until=NOON + timedelta(minutes=30)), [0]),
        (Filter(routes=("sensitive",)), [26, 20, 14, 8, 2]),
        (Filter(platforms=("x",), actions=("specialist",)), []),
        (Filter(intents=("praise",), until=NOON + timedelta(hours=4)), [7, 1]),
        (Filter(models=("another",)), []),
        (Filter(lanes=("shadow",)), []),
        (Filter(most_characters=3), [29, 23, 17, 11, 5]),
        (Filter(least_characters=30), [28, 22, 16, 10, 4]),
        (Filter(least_confidence=1.0), []),
        (Filter(author=pseudonym_of("author3", KEY), until=NOON + timedelta(hours=5)), [8, 3]),
        (Filter(reviewed=True), [6, 5, 4, 3, 2, 1, 0]),
        (Filter(reviewed=False, until=NOON + timedelta(hours=5)), [9, 8, 7]),
    ],
)
def test_a_filter_means_what_it_says(desk: Database, wanted: Filter, expected: list[int]) -> None:
    assert places(desk.read(page_of_posts, wanted).posts) == expected
    assert sum(each.posts for each in desk.read(counts, wanted)) == len(expected)


def test_posts_are_counted_by_what_was_decided(desk: Database) -> None:
    found = desk.read(counts, Filter())
    assert Count(None, "sensitive", "specialist", "safety_health", 5, 0) in found
    assert Count(None, "simple", "auto_answer", "order_status", 10, 0) in found
    assert sum(each.posts for each in found) == 30


def test_posts_are_counted_by_the_hour_they_came_in(desk: Database) -> None:
    found = desk.read(counts_by_time, Filter(until=NOON + timedelta(hours=1)))
    assert [(each.since, each.intent, each.posts) for each in found] == [
        (datetime(2026, 11, 20, 12, tzinfo=UTC), "order_status", 1),
        (datetime(2026, 11, 20, 13, tzinfo=UTC), "praise", 1),
    ]


def test_readers_are_held_against_the_model(desk: Database) -> None:
    assert desk.read(confusion, Filter()) == (
        Cell("complex", "complex", 1),
        Cell("complex", "simple", 1),
        Cell("sensitive", "complex", 1),
        Cell("sensitive", "simple", 1),
        Cell("simple", "complex", 2),
        Cell("simple", "simple", 5),
    )
    assert sum(each.readings for each in desk.read(confusion, Filter(), "intent")) == 11


def test_confidence_is_held_against_what_readers_say(desk: Database) -> None:
    bins = desk.read(confidences, Filter())
    assert sum(each.posts for each in bins) == 30
    assert (sum(each.readings for each in bins), sum(each.right for each in bins)) == (11, 6)
    assert [each.least for each in bins][:3] == [0.0, 0.05, 0.1]


def test_reviewed_posts_come_with_their_facts_and_all_that_readers_said(desk: Database) -> None:
    ids = desk.read(reviewed_ids, Filter(until=NOON + timedelta(hours=2)))
    found = desk.read(reviewed_posts, ids)
    assert tuple(each.post.prediction_id for each in found) == ids
    assert places(tuple(each.post for each in found)) == [3, 2, 1, 0]
    assert found[0].readings == (Reading("ann", "simple", "order_status"), Reading("bob", "complex", "order_status"))
    assert found[0].facts.platform == "x"
    assert len(desk.read(reviewed_ids, Filter(), most=2)) == 2


def test_latencies_fall_into_bins_up_to_a_bound(desk: Database) -> None:
    found = {each.most: each.posts for each in desk.read(latencies, Filter())}
    assert (found[1.0], found[2.5], found[5.0], found[10.0], found[25.0], found[50.0]) == (2, 1, 3, 5, 15, 4)
    assert found[inf] == 0


def test_a_decision_within_the_promise_is_counted(desk: Database) -> None:
    assert desk.read(promise, Filter()) == Promise(30, 30)
    assert desk.read(promise, Filter(), within=timedelta(minutes=10)) == Promise(30, 1)


def test_an_author_who_writes_again_after_an_automatic_answer_is_a_follow_up(desk: Database) -> None:
    within_two_hours = Filter(until=NOON + timedelta(hours=3))
    assert desk.read(follow_ups, within_two_hours, within=timedelta(hours=2)) == FollowUps(3, 3, 0)
    assert desk.read(follow_ups, within_two_hours, within=timedelta(hours=2.5)) == FollowUps(3, 3, 3)


def test_posts_that_say_nearly_the_same_are_one_cluster(desk: Database) -> None:
    first = desk.read(clusters, Filter())[0]
    assert (first.posts, first.first_at, int(first.prediction_id)) == (10, NOON, 28)
    assert places(desk.read(page_of_posts, Filter(cluster=first.name)).posts) == [28, 24, 22, 18, 16, 12, 10, 6, 4, 0]


def test_what_there_is_to_filter_by_is_said(desk: Database) -> None:
    found = desk.read(choices, Filter())
    assert found.platforms == ("facebook", "x")
    assert found.models == ("2026.11.22+fake00",)


def test_a_reader_is_not_shown_what_he_has_read(desk: Database) -> None:
    for reader, unread in (("ann", 30 - 8), ("bob", 30 - 4), ("eve", 30)):
        found = desk.read(next_to_read, Filter(), order="newest", reader=reader, most=50)
        assert len(found) == unread
    shown = places(desk.read(next_to_read, Filter(), order="newest", reader="ann", most=50))
    assert 7 in shown, "what was withdrawn is to be read again"
    assert 9 not in shown, "what was skipped is not"


def test_the_random_sample_is_the_same_at_each_call_and_no_order_of_anything_else(desk: Database) -> None:
    drawn = places(desk.read(next_to_read, Filter(), order="random", reader="eve", most=30))
    assert drawn == places(desk.read(next_to_read, Filter(), order="random", reader="eve", most=30))
    assert drawn[:10] == places(desk.read(next_to_read, Filter(), order="random", reader="eve", most=10))
    assert sorted(drawn) == list(range(30))
    assert drawn not in (list(range(30)), list(range(29, -1, -1)))


def test_the_uncertain_come_first_where_they_are_asked_for(desk: Database) -> None:
    found = desk.read(next_to_read, Filter(), order="uncertain", reader="eve", most=30)
    assert [post.confidence for post in found] == sorted(post.confidence for post in found)


# What is kept, and for how long


def test_without_a_key_no_author_is_kept(tmp_path: Path) -> None:
    address = address_of(tmp_path / "journal.db")
    entry = made(1, "thanks", NOON)
    with closing(open_store(address)) as store:
        store.write([entry])
    with closing(Database(address)) as database:
        (post,) = database.read(page_of_posts, Filter()).posts
        assert post.author is None
        assert database.read(follow_ups, Filter(), within=timedelta(hours=1)) == FollowUps(1, 0, 0)


def test_a_pseudonym_says_nothing_without_its_key() -> None:
    assert pseudonym_of("tobes", KEY) == pseudonym_of("tobes", KEY)
    assert pseudonym_of("tobes", KEY) != pseudonym_of("tobes", KEY + "!")
    assert "tobes" not in pseudonym_of("tobes", KEY)


def test_pruning_takes_the_text_of_all_and_keeps_the_counts_of_what_was_read(tmp_path: Path) -> None:
    address = address_of(tmp_path / "journal.db")
    with closing(fill(address)) as database, closing(open_store(address)) as store:
        before = database.read(confusion, Filter())
        assert store.prune(NOON + timedelta(days=30), most=100) == 30
        assert database.read(page_of_posts, Filter()).posts == ()
        assert database.read(confusion, Filter()) == before
        assert sum(each.posts for each in database.read(counts, Filter())) == 9
        assert database.read(follow_ups, Filter(), within=timedelta(days=1)).known == 0


def test_clusters_beyond_the_bound_are_forgotten_the_oldest_first() -> None:
    known = Clusters(most=2)
    rain, snow = "it came in the rain today again", "it came in the snow today again"
    first = known.of(rain)
    assert known.of(snow) == first
    known.of("where is my parcel")
    known.of("thanks a lot")
    assert known.of(snow) != first
    assert known.of("[link]") is None


# The database


def test_what_a_question_writes_is_not_kept(tmp_path: Path) -> None:
    with closing(fill(address_of(tmp_path / "journal.db"))) as database:
        assert database.read(add_review, Review("0" * 26, "eve", "skip"))
        assert database.read(last_review, "eve") is None


def test_a_question_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    address = address_of(tmp_path / "journal.db")
    with closing(fill(address)) as database:

        def ask_meanwhile(connection: object) -> int:
            return len(database.read(page_of_posts, Filter(), most=5).posts)

        assert database.write(ask_meanwhile) == 5


def test_what_raises_leaves_nothing_behind(tmp_path: Path) -> None:
    with closing(fill(address_of(tmp_path / "journal.db"))) as database:

        def add_and_fail(connection: Connection) -> None:
            add_review(connection, Review("0" * 26, "eve", "skip"))
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            database.write(add_and_fail)
        assert database.read(last_review, "eve") is None


def test_a_database_that_is_none_is_told_by_its_code(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    file.write_text("the diary of a traveller " * 500)
    with closing(Database(address_of(file))) as database, pytest.raises(StoreDownError, match="SQLITE_NOTADB"):
        database.read(counts, Filter())


def test_a_row_that_no_database_takes_is_refused(tmp_path: Path) -> None:
    with closing(fill(address_of(tmp_path / "journal.db"))) as database, pytest.raises(EntryRefusedError):
        database.write(add_review, Review("0" * 26, "\ud800", "skip"))


def test_where_the_journal_is_off_there_is_no_database() -> None:
    assert open_database(Settings(journal="off")) is None
    assert isinstance(open_database(Settings(journal="sqlite:///journal.db")), Database)
