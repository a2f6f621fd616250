"""The demo's journal: a month that the product itself decided, gone on with, and never one that is somebody's."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import pytest
from sqlalchemy import select

from data.post import Author
from data.progress import unwatched
from data.sources import write_labelled
from data.splits import split, write_splits
from data.steps import finish
from models.policy import RiskBudget
from models.predictor import Predictor
from serving.__main__ import main
from serving.commands.verbs import DONE, MISUSE
from serving.engine import versions_of
from serving.journal.address import Address
from serving.journal.brake import brake_events
from serving.journal.corrections import corrections
from serving.journal.database import Database
from serving.journal.draws import read_draw, sample_of
from serving.journal.filter import Filter
from serving.journal.policies import policy_versions
from serving.journal.queries import (
    KeptPost,
    clusters,
    confusion,
    counts,
    follow_ups,
    page_of_posts,
    promise,
)
from serving.journal.replay import replay
from serving.journal.reviews import Review, add_review, agreement, reviews_of
from serving.journal.rules import standing_rules
from serving.journal.store import open_store
from serving.journal.tables import SHADOWS
from serving.settings import SettingsError
from serving.workbench.cockpit.drifting import DriftWatch
from serving.workbench.demo import proposals
from serving.workbench.demo.feed import OUTAGE_MARK, feed_of
from serving.workbench.demo.filling import MONTH, Filled, fill
from serving.workbench.demo.past import CHALLENGER
from serving.workbench.review.queues import QUEUES, next_posts
from tests.models.tiny_bundle import write_tiny_bundle
from tests.serving.journals import address_of, entry
from tests.workbench.proving import posts_that_prove

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = "a key of sixteen"
POSTS = 1_200
OTHER: Mapping[int, dict[str, object]] = MappingProxyType(
    {3: {"route": "complex"}, 7: {"author": Author(followers=90_000)}}
)
Item = TypeVar("Item")
FillIt = Callable[..., Filled]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled posts with splits; of the simple ones a tenth are complex, which the fake does not see, and a tenth are
    by an author with an audience, which the guards see."""
    return write_corpus(tmp_path_factory.mktemp("corpus") / "labelled")


def write_corpus(directory: Path) -> Path:
    directory.mkdir()
    rows = [
        post.model_copy(update=OTHER.get(place % 40, {}) if post.route == "simple" else {})
        for place, post in enumerate(posts_that_prove())
    ]
    write_labelled(directory / "posts.jsonl", rows)
    write_splits(directory / "splits.json", split(rows, rules=()))
    return directory


@pytest.fixture
def address(tmp_path: Path) -> Address:
    return address_of(tmp_path / "demo.db")


@pytest.fixture
def fill_it(address: Address, fake: Predictor, corpus: Path) -> FillIt:
    """Fills the journal of the test."""

    def run(now: datetime = NOW, **options: object) -> Filled:
        given = {"author_key": KEY, "watch": unwatched, "posts": POSTS, **options}
        return fill(address, fake, corpus, now=now, **given)  # type: ignore[arg-type] # a test's own

    return run


@pytest.fixture(scope="module")
def month(fake: Predictor, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Filled]:
    """A journal with a month in it, to be copied, and what was filled in."""
    file = tmp_path_factory.mktemp("month") / "demo.db"
    filled = fill(address_of(file), fake, corpus, now=NOW, author_key=KEY, watch=unwatched, posts=POSTS)
    return file, filled


@pytest.fixture
def first(month: tuple[Path, Filled], tmp_path: Path) -> Filled:
    """What was filled into the journal of the test, which holds a month."""
    shutil.copy(month[0], tmp_path / "demo.db")
    return month[1]


@pytest.fixture
def database(address: Address) -> Iterator[Database]:
    with closing(Database(address)) as database:
        yield database


def all_posts(database: Database) -> list[KeptPost]:
    return list(database.read(page_of_posts, Filter(), most=10_000).posts)


def test_a_month_up_to_now_is_there_and_every_page_has_something_to_show(first: Filled, database: Database) -> None:
    posts = all_posts(database)
    assert len(posts) == first.posts
    assert 0.8 * POSTS < len(posts) - 156 < 1.2 * POSTS
    assert NOW - MONTH <= posts[-1].received_at < NOW - MONTH + DAY
    assert NOW - timedelta(hours=2) < posts[0].received_at < NOW
    by_hour = Counter(each.received_at.hour for each in posts if not str(each.post_id).startswith(OUTAGE_MARK))
    assert by_hour[19] > 3 * by_hour[3]
    promised = database.read(promise, Filter())
    assert 0.9 < promised.in_time / promised.posts < 1.0
    back = database.read(follow_ups, Filter(), within=DAY)
    assert back.known == back.answers > back.followed > 0
    assert first.readings > 300
    assert database.read(agreement, NOW - MONTH, NOW)
    assert {each.predicted for each in database.read(confusion, Filter())} >= {"simple", "complex"}
    assert list(database.read(lambda connection: list(corrections(connection))))
    assert len({each.cluster for each in posts}) > 50


def test_every_decision_is_the_one_that_the_product_makes(
    first: Filled, database: Database, address: Address, fake: Predictor
) -> None:
    ids = [each.prediction_id for each in all_posts(database)[::20]]
    with closing(open_store(address)) as store:
        rows = [store.find(each) for each in ids]
    assert rows
    assert [row and replay(row, fake).differences for row in rows] == [() for _ in rows]


def test_the_outage_is_a_cluster_that_the_brake_saw_and_while_it_held_no_machine_answered(
    first: Filled, database: Database
) -> None:
    released, engaged = database.read(brake_events)
    assert (released.event, engaged.event) == ("released", "engaged")
    assert "posts that say nearly the same" in engaged.cause
    assert NOW - timedelta(hours=4) < engaged.at < released.at < NOW
    largest = database.read(clusters, Filter(since=NOW - DAY))[0]
    assert largest.posts > 100
    held = database.read(counts, Filter(since=engaged.at, until=released.at))
    assert held
    assert not [each for each in held if each.action in ("auto_answer", "no_reply")]


def test_a_wrong_answer_was_corrected_and_is_forbidden_from_then_on(first: Filled, database: Database) -> None:
    (rule,) = database.read(standing_rules)
    forbidden = [each for each in all_posts(database) if ("must_not_answer", f"rule {rule.id}") in each.reasons]
    assert all(each.received_at >= rule.made_at for each in forbidden)
    corrected = next(each for each in all_posts(database) if each.prediction_id == rule.prediction_id)
    assert corrected.action == "auto_answer"
    (review, *_) = database.read(reviews_of, rule.prediction_id)
    assert review.route == "complex"


def test_automatic_answers_were_drawn_from_the_first_day_and_most_of_them_read(
    first: Filled, database: Database, fake: Predictor
) -> None:
    draw = database.read(read_draw, versions_of(fake), fake.content, NOW, 90)
    assert draw is not None
    assert 0.1 < draw.drawn.mean() < 0.3
    assert sample_of(draw).read > 20
    assert sample_of(draw).wrong > 0


def test_for_three_days_a_challenger_looked_on_and_the_queue_has_what_it_would_have_done_otherwise(
    first: Filled, database: Database
) -> None:
    trial = [each for each in all_posts(database) if each.received_at >= NOW - 3 * DAY]
    rows = database.read(lambda connection: connection.execute(select(SHADOWS)).all())
    seen = {row.prediction_id: row for row in rows}
    assert seen.keys() == {each.prediction_id for each in trial}
    assert {row.model_version for row in seen.values()} == {f"{trial[0].model_version}{CHALLENGER}"}
    queue = database.read(next_posts, QUEUES["disagreement"], "me", NOW, 1_000)
    assert {each.action for each in queue} == {"specialist"}  # who has an audience, which the guards see
    assert {seen[each.prediction_id].action for each in queue} >= {"auto_answer"}


def test_the_campaign_brings_posts_of_its_own_and_the_cockpit_finds_their_drift(
    fill_it: FillIt, database: Database, fake: Predictor
) -> None:
    fill_it(posts=2_500)
    of_campaign = [each for each in all_posts(database) if str(each.post_id).startswith("frost-")]
    assert len(of_campaign) > 100
    assert min(each.received_at for each in of_campaign) > NOW - 6 * DAY
    drift, model = DriftWatch(), versions_of(fake).model
    database.read(drift.read_now, model, NOW)
    database.read(drift.read_then, model, NOW, None)
    found = finish(drift.compare_in_steps()).drift
    assert found is not None
    assert found.told.alarm
    assert [each.alarm for each in found.shifts if each.facet == "intent"] == [True]


def test_versions_that_the_labelled_posts_prove_are_proposed_and_one_is_approved(
    fill_it: FillIt, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    loose = [
        replace(each, budget=RiskBudget(leak_sensitive=least, leak_influencer=least, wrong=0.6, confidence=0.8))
        for each, least in zip(proposals.PROPOSALS, (0.2, 0.3), strict=True)
    ]
    monkeypatch.setattr(proposals, "PROPOSALS", loose)
    filled = fill_it()
    versions = database.read(policy_versions)
    assert filled.proposals == len(versions) == 2
    assert [each.state for each in versions] == ["approved", "proposed"]
    assert versions[0].history[0].at < versions[0].history[1].at < NOW


# again, and where somebody's journal is


def test_asked_again_it_begins_at_once_and_a_day_later_it_goes_on(
    first: Filled, fill_it: FillIt, database: Database
) -> None:
    mine = Review(all_posts(database)[0].prediction_id, "me", "label", "simple", "praise")
    database.write(add_review, mine)
    assert fill_it(NOW + timedelta(hours=23)) == Filled()
    later = fill_it(NOW + 3 * DAY)
    posts = all_posts(database)
    assert len(posts) == first.posts + later.posts
    assert later.posts < first.posts / 2
    assert NOW + 3 * DAY - timedelta(hours=2) < posts[0].received_at < NOW + 3 * DAY
    assert later.readings > 0
    assert mine in database.read(reviews_of, mine.prediction_id)
    assert len(database.read(brake_events)) == 4


def test_asked_for_a_fresh_one_it_begins_anew_with_the_same_posts(
    first: Filled, fill_it: FillIt, database: Database
) -> None:
    before = [each.prediction_id for each in all_posts(database)]
    database.write(add_review, Review(before[0], "me", "skip"))
    fill_it(fresh=True)
    assert [each.prediction_id for each in all_posts(database)] == before
    assert "me" not in {each.reader for each in database.read(reviews_of, before[0])}


def test_a_filling_that_was_broken_off_begins_anew(fill_it: FillIt, database: Database) -> None:
    def broken(items: Iterable[Item], what: str, total: int | None = None) -> Iterable[Item]:
        for place, each in enumerate(items):
            if what.startswith("living") and place == 300:
                raise KeyboardInterrupt
            yield each

    with pytest.raises(KeyboardInterrupt):
        fill_it(watch=broken)
    assert all_posts(database)
    filled = fill_it()
    assert len(all_posts(database)) == filled.posts


@pytest.mark.parametrize("fresh", [False, True])
def test_a_journal_that_is_somebody_s_is_refused_and_left_as_it_was(
    fill_it: FillIt, address: Address, database: Database, fresh: bool
) -> None:
    with closing(open_store(address)) as store:
        store.write([entry(NOW - timedelta(days=40))])
    with pytest.raises(SettingsError, match=r"holds what is no demo's. Wanted: an empty database, or one"):
        fill_it(fresh=fresh)
    assert len(all_posts(database)) == 1


def test_labels_without_a_post_are_somebody_s_too(fill_it: FillIt, database: Database) -> None:
    database.write(add_review, Review("0" * 26, "me", "skip"))
    with pytest.raises(SettingsError, match="no demo's"):
        fill_it()


# the feed and the command


def test_an_hour_brings_the_same_posts_however_it_is_asked_for() -> None:
    feed = feed_of(posts_that_prove(), (), posts_per_week=2_000, campaign_from=NOW, outages=(NOW,))
    whole = list(feed.between(NOW - DAY, NOW + DAY))
    parts = [*feed.between(NOW - DAY, NOW + timedelta(minutes=7)), *feed.between(NOW + timedelta(minutes=7), NOW + DAY)]
    assert whole == parts
    assert len({each.prediction_id for each in whole}) == len(whole) > 500
    assert sorted(whole, key=lambda each: each.received_at) == whole


def test_the_command_fills_a_journal_and_says_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    write_corpus(tmp_path / "labelled")
    monkeypatch.setenv("SIGNALBOX_QA_POSTS", str(tmp_path / "labelled"))
    given = ["demo", "--bundle", str(tmp_path / "tiny"), "--posts", "300", "--fill-only"]
    journal = f"sqlite:///{tmp_path}/demo.db"
    assert main([*given, "--journal", journal]) == DONE
    answer = json.loads(capsys.readouterr().out)
    assert answer["journal"] == f"SQLite file {tmp_path}/demo.db"
    assert answer["posts"] > 300
    assert main([*given, "--journal", journal]) == DONE
    assert json.loads(capsys.readouterr().out)["posts"] == 0
    monkeypatch.setenv("SIGNALBOX_JOURNAL", journal)
    assert main([*given, "--journal", journal]) == MISUSE
    assert "SIGNALBOX_JOURNAL names it: it is the journal in use" in capsys.readouterr().err
    assert main([*given, "--journal", "off"]) == MISUSE
