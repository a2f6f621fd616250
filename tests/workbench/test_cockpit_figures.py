"""What the cockpit computes: tallies are the journal's counts, rounds are shared, alarms are for what is unusual."""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import aclosing, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.steps import finish
from serving.journal.database import Database
from serving.journal.filter import Filter
from serving.journal.queries import LATENCY_BOUNDS_MS, counts, latencies, promise
from serving.journal.store import open_store
from serving.journal.tallies import Tally, add_up, tallies_by_step
from serving.workbench.cockpit.broadcast import Broadcast, Frame, FullError, RoundError
from serving.workbench.cockpit.charts import by_route, last_hours, shares
from serving.workbench.cockpit.drifting import DriftReport, DriftWatch
from serving.workbench.cockpit.figures import bound_words, figures_of, latency_bins, latency_under
from serving.workbench.cockpit.ledger import SPANS, Bar, Ledger
from serving.workbench.cockpit.surges import find_alike, find_surges
from tests.serving.desks import NOON, fill, made
from tests.serving.journals import address_of
from tests.workbench.watching import fill_weeks

LATER = NOON + timedelta(hours=15)
MODEL = "2026.11.22+fake00"
Got = TypeVar("Got")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Database]:
    """A journal of thirty posts within fifteen hours."""
    with closing(fill(address_of(tmp_path / "journal.db"))) as database:
        yield database


def tallied(ledger: Ledger, span: str, database: Database, now: datetime, rounds: int = 1) -> Tally:
    """All that a ledger has of its span after so many rounds."""
    for _ in range(rounds):
        for steps in ledger.due(SPANS[span], now):
            database.read(ledger.read, steps)
    return figures_of(SPANS[span], now, ledger.bars(SPANS[span], now)).total


# tallies


@pytest.mark.parametrize("step_s", [60, 3_600])
def test_tallies_are_what_the_other_questions_count(desk: Database, step_s: int) -> None:
    wanted = Filter(since=NOON + timedelta(hours=2), until=NOON + timedelta(hours=11))
    found = add_up(desk.read(tallies_by_step, wanted, step_s=step_s).values())
    counted = desk.read(counts, wanted)
    assert found.posts == sum(each.posts for each in counted)
    assert found.abstained == sum(each.abstained for each in counted)
    for labels, of in ((found.routes, "route"), (found.actions, "action"), (found.intents, "intent")):
        for label, posts in labels.items():
            assert posts == sum(each.posts for each in counted if getattr(each, of) == label)
    assert [each.posts for each in latency_bins(found)] == [each.posts for each in desk.read(latencies, wanted)]
    kept = desk.read(promise, wanted)
    assert (found.dated, found.in_time) == (kept.posts, kept.in_time)


def test_nothing_comes_to_nothing() -> None:
    assert add_up(()) == Tally()
    assert (Tally().closed_share, Tally().abstained_share, Tally().in_time_share) == (None, None, None)
    assert latency_under(Tally(), 0.5) is None


@pytest.mark.parametrize("name", ["day", "week", "month"])
def test_a_ledger_has_all_of_its_span_at_once_and_follows_the_time(desk: Database, name: str) -> None:
    ledger = Ledger(SPANS[name])
    assert tallied(ledger, name, desk, LATER).posts == 30
    assert tallied(ledger, name, desk, LATER + timedelta(days=40)).posts == 0
    assert len(ledger.bars(SPANS[name], LATER)) == SPANS[name].bars


def test_what_was_read_for_one_span_is_there_for_the_others_that_count_by_the_same_steps(desk: Database) -> None:
    ledger = Ledger(SPANS["week"], SPANS["month"])
    assert tallied(ledger, "month", desk, LATER).posts == 30
    assert len(list(Ledger(SPANS["week"]).due(SPANS["week"], LATER))) > 2
    assert len(list(ledger.due(SPANS["week"], LATER))) == 2, "one old piece again, and the newest"
    assert tallied(ledger, "week", desk, LATER).posts == 30


def test_a_ledger_sees_what_is_new_at_once_and_what_came_late_within_some_rounds(tmp_path: Path) -> None:
    address = address_of(tmp_path / "journal.db")
    with closing(open_store(address)) as store, closing(Database(address)) as database:
        store.write([made(1, "where is my parcel?", NOON)])
        ledger = Ledger(SPANS["day"])
        assert tallied(ledger, "day", database, NOON).posts == 1
        store.write([made(2, "where is my parcel?", NOON + timedelta(minutes=1))])
        assert tallied(ledger, "day", database, NOON + timedelta(minutes=1)).posts == 2
        store.write([made(3, "where is my parcel?", NOON - timedelta(hours=9))])
        assert tallied(ledger, "day", database, NOON + timedelta(minutes=1), rounds=30).posts == 3
        store.prune(NOON - timedelta(hours=1), most=10)
        assert tallied(ledger, "day", database, NOON + timedelta(minutes=1), rounds=30).posts == 2


@given(bins=st.lists(st.integers(0, 50), min_size=13, max_size=13).filter(any), share=st.floats(0.01, 1.0))
def test_a_quantile_of_latency_is_the_least_bound_that_holds_so_many(bins: list[int], share: float) -> None:
    under = tuple(sum(bins[: place + 1]) for place in range(12))
    tally = Tally(posts=sum(bins), latencies=under)
    found = latency_under(tally, share)
    assert found is not None
    within = tally.posts if found == math.inf else under[LATENCY_BOUNDS_MS.index(found)]
    assert within >= share * tally.posts
    if found != LATENCY_BOUNDS_MS[0]:
        below = under[-1] if found == math.inf else under[LATENCY_BOUNDS_MS.index(found) - 1]
        assert below < share * tally.posts


def test_bounds_are_said_in_the_unit_that_fits() -> None:
    assert [bound_words(each) for each in (None, 2.5, 2_500.0, math.inf)] == ["-", "≤ 2.5 ms", "≤ 2.5 s", "over 5 s"]


@given(counted=st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 5_000)), min_size=60, max_size=60))
def test_no_bar_leaves_the_picture_and_the_words_say_what_is_on_it(counted: list[tuple[int, int]]) -> None:
    bars = [
        Bar(NOON + timedelta(minutes=n), Tally(simple + hurt, routes={"simple": simple, "sensitive": hurt}))
        for n, (simple, hurt) in enumerate(counted)
    ]
    picture = by_route(bars, SPANS["hour"])
    assert f"{sum(simple for simple, _ in counted)} simple" in picture.words
    assert 1 <= len(picture.y_ticks) <= 6
    ends = [float(end) for each in picture.series for end in re.findall(r"V([\d.]+)h", each.path)]
    assert all(12 <= end <= 276 for end in ends)


def test_a_time_without_posts_is_a_gap_in_a_line_and_one_alone_a_dot() -> None:
    tallies = [Tally(1, actions={"auto_answer": 1}), Tally(), Tally(2), Tally(2, actions={"no_reply": 1})]
    closed = shares([Bar(NOON, tally) for tally in tallies], SPANS["hour"]).series[0].path
    assert (closed.count("M"), closed.count("L")) == (2, 1)


# the shared round


def run(test: Callable[[], Awaitable[Got]]) -> Got:
    async def within() -> Got:
        async with asyncio.timeout(60):
            return await test()

    return asyncio.run(within())


class Rounds:
    """Makes parts that count how often they were made; fails while told to."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.problem = ""

    async def make(self, pages: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        self.asked.append(sorted(pages))
        await asyncio.sleep(0)
        if self.problem:
            raise RoundError(self.problem)
        return {page: {"same": "as ever", "number": str(len(self.asked))} for page in pages}


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.workbench.cockpit.broadcast.ROUND_S", 0.0)
    monkeypatch.setattr("serving.workbench.cockpit.broadcast._TICK_S", 0.0)


@pytest.mark.usefixtures("_at_once")
def test_all_watchers_share_one_round_and_nothing_is_made_for_nobody() -> None:
    rounds = Rounds()

    async def test() -> None:
        broadcast = Broadcast(rounds.make, ended=lambda: False)
        watching = [broadcast.watch("hour") for _ in range(5)]
        frames = await asyncio.gather(*(anext(each) for each in watching))
        assert len({id(frame) for frame in frames}) == 1
        assert broadcast.watching == 5
        for each in watching:
            await each.aclose()
        assert broadcast.watching == 0
        made_then = len(rounds.asked)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(rounds.asked) <= made_then + 1  # the one that ran
        assert rounds.asked[0] == ["hour"]

    run(test)


@pytest.mark.usefixtures("_at_once")
def test_a_watcher_is_handed_what_changed_since_the_frame_he_saw_and_a_failed_round_keeps_the_parts() -> None:
    rounds = Rounds()

    async def test() -> None:
        broadcast = Broadcast(rounds.make, ended=lambda: False)
        async with aclosing(broadcast.watch("hour")) as frames:
            first = await anext(frames)
            second = await anext(frames)
            assert first is not None
            assert second is not None
            assert set(second.since(first.number)) == {"number"}
            assert set(second.since(-1)) == {"same", "number"}
            rounds.problem = "away"
            async for frame in frames:
                if frame is not None and frame.problem:
                    assert (frame.problem, frame.parts["same"]) == ("away", "as ever")
                    assert frame.since(frame.number - 1) == {}
                    break

    run(test)


@pytest.mark.usefixtures("_at_once")
def test_watching_ends_with_the_server_and_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.workbench.cockpit.broadcast.MOST_WATCHERS", 1)
    over = False

    async def test() -> None:
        nonlocal over
        broadcast = Broadcast(Rounds().make, ended=lambda: over)
        async with aclosing(broadcast.watch("hour")) as frames:
            await anext(frames)
            with pytest.raises(FullError):
                await anext(broadcast.watch("hour"))
            over = True
            assert [frame async for frame in frames if frame is None] == []

    run(test)


def test_a_watcher_who_waits_long_hears_that_the_server_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.workbench.cockpit.broadcast.BEAT_S", 0.0)

    async def never(_: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        await asyncio.Event().wait()
        return {}

    async def test() -> None:
        async with aclosing(Broadcast(never, ended=lambda: False).watch("hour")) as frames:
            assert [await anext(frames) for _ in range(3)] == [None] * 3

    run(test)


def test_a_frame_of_nothing_has_nothing_new() -> None:
    assert Frame(NOON).since(-1) == {}


# what is out of the ordinary


def test_an_hour_like_those_of_earlier_weeks_is_none_and_a_rush_is(tmp_path: Path) -> None:
    for posts, spikes in ((0, ()), (60, ("all posts", "complex", "service_quality"))):
        path = tmp_path / f"{posts}.db"
        fill_weeks(path, NOON, weeks=3, an_hour=12, now_posts=posts)
        with closing(Database(address_of(path))) as database:
            found = database.read(find_surges, NOON)
            alike = database.read(find_alike, NOON)
        assert found.weeks == 3
        assert set(found.spikes) == set(spikes)
        assert (found.hours[-1].posts, found.hours[-1].is_spike) == (12 + posts, bool(posts))
        assert [
            (each.cluster.posts, each.newest and each.newest.text) for each in alike if each.cluster.posts == 60
        ] == ([(60, "your app is down again and again")] if posts else [])
        assert ("12:00" in last_hours(found.hours).words) == bool(posts)


def test_what_is_ordinary_is_not_said_before_there_are_two_weeks(tmp_path: Path) -> None:
    with closing(Database(address_of(tmp_path / "journal.db"))) as database:
        assert database.read(find_surges, NOON).weeks == 0
        fill_weeks(tmp_path / "journal.db", NOON, weeks=1, an_hour=3)
        found = database.read(find_surges, NOON)
        assert (found.weeks, found.hours, found.rows) == (1, (), ())


# drift


def words(seed: int) -> str:
    """Words that no other seed has, so that no two posts are near each other."""
    return " ".join(
        "".join(chr(97 + (seed * 7 + n * k) % 26) for n in range(6)) + "qzxvj"[k] * (seed % 9) for k in range(5)
    )


def look(database: Database, now: datetime) -> DriftReport:
    watch = DriftWatch()
    database.read(watch.read_now, MODEL, now)
    database.read(watch.read_then, MODEL, now, None)
    return finish(watch.compare_in_steps())


def test_from_the_second_month_on_posts_are_held_against_the_models_own_first_weeks(tmp_path: Path) -> None:
    then = [made(n, f"where is my parcel {words(n)}", NOON - timedelta(days=40 - n % 10)) for n in range(80)]
    now = [made(100 + n, f"injured by a toaster {words(100 + n)}", NOON - timedelta(hours=n)) for n in range(80)]
    address = address_of(tmp_path / "journal.db")
    with closing(open_store(address)) as store:
        store.write([*then, *now])
    with closing(Database(address)) as database:
        found = look(database, NOON)
    assert found.drift is not None
    assert found.drift.alarm
    assert found.drift.shifts[0].now != found.drift.shifts[0].before
    assert "toaster" in found.drift.told.new
    assert found.reference == "the first two weeks of this model, from 11 October 2026"
    assert not found.is_corpus


def test_a_hundred_copies_of_one_complaint_are_one_event(tmp_path: Path) -> None:
    address = address_of(tmp_path / "journal.db")
    posts = [made(n, "your app is down again", NOON - timedelta(days=40 * (n % 2), minutes=n)) for n in range(200)]
    with closing(open_store(address)) as store:
        store.write(posts)
    with closing(Database(address)) as database:
        assert "too few posts to compare: 1 different ones" in look(database, NOON).missing


def test_without_a_reference_nothing_is_looked_for(desk: Database) -> None:
    assert "nothing to hold the posts against" in look(desk, LATER).missing
