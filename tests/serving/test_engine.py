"""Posts through the engine: lanes, deadlines, cache and single flight, as its callers see them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from data.post import Author, Post
from models.predictor import Prediction
from serving.engine import Engine, ServedModel
from serving.errors import DeadlineError, OverloadedError
from serving.metrics import Metrics
from serving.passage import LONG_POST_BYTES
from serving.timing import Timing
from tests.fakes import FakeClassifier
from tests.serving.clients import WAIT_S, MakePredictor
from tests.serving.gates import FAULT_WORD, GATE_WORD, FaultyClassifier, GatedClassifier

SOON_S = 0.02
"""A deadline that passes while a gate is closed; the gate never opens by itself, so no longer one is needed."""
LATE_S = 60.0


@dataclass
class Bench:
    """An engine with one model, and all that it counted."""

    engine: Engine
    model: ServedModel
    metrics: Metrics

    def ask(self, *texts: str, within_s: float = LATE_S, bulk: bool = False) -> Coroutine[Any, Any, list[Prediction]]:
        deadline_s = asyncio.get_running_loop().time() + within_s
        return self.engine.predict(self.model, posts(*texts), deadline_s=deadline_s, bulk=bulk)

    def count(self, name: str, **labels: str) -> float:
        families = text_string_to_metric_families(self.metrics.render().decode())
        found = [s.value for f in families for s in f.samples if s.name == f"signalbox_{name}" and s.labels == labels]
        assert len(found) == 1
        return found[0]


def posts(*texts: str) -> list[Post]:
    return [Post(text=text) for text in texts]


@pytest.fixture
def bench(make_predictor: MakePredictor) -> Callable[..., Bench]:
    def make(
        classifier: FakeClassifier | None = None, *, workers: int = 1, queue_posts: int = 100, cache_posts: int = 100
    ) -> Bench:
        metrics = Metrics()
        engine = Engine(metrics, workers=workers, queue_posts=queue_posts, cache_posts=cache_posts)
        return Bench(engine, engine.warm(make_predictor(classifier)), metrics)

    return make


def run(scenario: Callable[[], Awaitable[None]], *benches: Bench) -> None:
    """Runs a scenario to its end, and closes the engines of these benches."""

    async def whole() -> None:
        try:
            await scenario()
        finally:
            for each in benches:
                await asyncio.to_thread(each.engine.close)

    asyncio.run(whole())


async def settle() -> None:
    """Lets every task that can move on do so; no time passes."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_predictions_are_those_of_the_predictor_in_the_order_of_the_posts(bench: Callable[..., Bench]) -> None:
    one = bench(workers=2)
    texts = ["parcel", "still nothing", "scam", "parcel", "lol", "parcel " * 400]

    async def scenario() -> None:
        for bulk in (False, True):
            assert await one.ask(*texts, bulk=bulk) == one.model.predictor.predict(posts(*texts))
        assert await one.ask() == []
        assert one.engine.posts_in_work == 0

    run(scenario, one)


def test_a_post_that_came_before_is_not_run_again(bench: Callable[..., Bench]) -> None:
    classifier = GatedClassifier()
    one = bench(classifier)
    classifier.seen.clear()

    async def scenario() -> None:
        first = await one.ask("parcel")
        assert await one.ask("parcel") == first
        assert await one.ask("parcel", "scam", "scam", bulk=True) == [*first, *await one.ask("scam", "scam")]
        assert classifier.seen == ["parcel", "scam"]
        counted = {found: one.count("cache_total", found=found) for found in ("hit", "joined", "miss")}
        assert counted == {"hit": 4, "joined": 1, "miss": 2}
        assert one.count("cached_posts") == 2

    run(scenario, one)


def test_facts_and_decision_are_made_anew_for_a_post_of_the_same_words(bench: Callable[..., Bench]) -> None:
    one = bench()

    async def scenario() -> None:
        deadline_s = asyncio.get_running_loop().time() + LATE_S
        quiet, loud = (
            # Both read "over 50k": the same bytes for the model, and one of them over the policy's line.
            Post(text="where is my parcel?", author=Author(followers=followers))
            for followers in (50_000, 51_000)
        )
        lines = one.model.predictor.policy.guards.model_copy(update={"followers": 50_500})
        policy = one.model.predictor.policy.model_copy(update={"guards": lines})
        model = one.engine.warm(one.model.predictor.under(policy))
        (first,) = await one.engine.predict(model, [quiet], deadline_s=deadline_s, bulk=False)
        (second,) = await one.engine.predict(model, [loud], deadline_s=deadline_s, bulk=False)
        assert one.count("cache_total", found="hit") == 1
        assert (first.routes, first.intents) == (second.routes, second.intents)
        assert (first.decision.action, second.decision.action) == ("auto_answer", "specialist")

    run(scenario, one)


def test_two_models_share_no_cache(bench: Callable[..., Bench], make_predictor: MakePredictor) -> None:
    one = bench()

    async def scenario() -> None:
        other = one.engine.warm(make_predictor())
        deadline_s = asyncio.get_running_loop().time() + LATE_S
        await one.ask("parcel")
        await one.engine.predict(other, posts("parcel"), deadline_s=deadline_s, bulk=False)
        assert one.count("cache_total", found="miss") == 2
        assert one.count("cached_posts") == 2

    run(scenario, one)


def test_a_cache_of_nothing_is_off(bench: Callable[..., Bench]) -> None:
    classifier = GatedClassifier()
    one = bench(classifier, cache_posts=0)
    classifier.seen.clear()

    async def scenario() -> None:
        await one.ask("parcel", "parcel")
        await one.ask("parcel")
        assert classifier.seen == ["parcel"] * 3
        assert one.count("cache_total", found="miss") == 0

    run(scenario, one)


def test_equal_posts_at_the_same_time_run_once_and_outlive_the_one_that_came_first(bench: Callable[..., Bench]) -> None:
    classifier = GatedClassifier()
    one = bench(classifier)
    classifier.seen.clear()

    async def scenario() -> None:
        leader = asyncio.create_task(one.ask(GATE_WORD))
        await asyncio.to_thread(classifier.entered.wait, WAIT_S)
        followers = [asyncio.create_task(one.ask(GATE_WORD, bulk=bulk)) for bulk in (True, False)]
        await settle()
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        classifier.gate.set()
        assert await followers[0] == await followers[1]
        assert classifier.seen == [GATE_WORD]
        assert one.count("cache_total", found="joined") == 2
        assert one.count("unrun_total", why="abandoned") == 0

    run(scenario, one)


def test_a_leader_whose_deadline_passes_while_it_waits_leaves_its_place_to_the_followers(
    bench: Callable[..., Bench],
) -> None:
    classifier = GatedClassifier()
    one = bench(classifier)
    classifier.seen.clear()

    async def scenario() -> None:
        gate = asyncio.create_task(one.ask(GATE_WORD))
        await asyncio.to_thread(classifier.entered.wait, WAIT_S)
        leader = asyncio.create_task(one.ask("parcel", within_s=SOON_S))
        await settle()
        follower = asyncio.create_task(one.ask("parcel"))
        with pytest.raises(DeadlineError):
            await leader
        classifier.gate.set()
        assert (await follower)[0].route == "simple"
        await gate
        assert classifier.seen == [GATE_WORD, "parcel"]

    run(scenario, one)


def test_a_fault_reaches_all_who_wait_for_it_and_is_not_kept(bench: Callable[..., Bench]) -> None:
    one = bench(FaultyClassifier())

    async def scenario() -> None:
        asked = [one.ask(FAULT_WORD), one.ask(f"{FAULT_WORD}", bulk=True), one.ask("parcel", FAULT_WORD, bulk=True)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in found] == [ValueError] * 3
        with pytest.raises(ValueError, match="cannot judge"):
            await one.ask(FAULT_WORD)
        assert one.engine.posts_in_work == 0

    run(scenario, one)


def test_a_fault_in_a_batch_is_said_though_others_of_it_never_ran(bench: Callable[..., Bench]) -> None:
    classifier = FaultyClassifier()
    one = bench(classifier)

    async def scenario() -> None:
        for texts in (
            ["parcel", FAULT_WORD, "parcels"],
            [FAULT_WORD, "parcel"],
            ["long " * LONG_POST_BYTES, FAULT_WORD],
        ):
            urgent = asyncio.create_task(one.ask(FAULT_WORD))
            with pytest.raises(ValueError, match="cannot judge"):
                await one.ask(*texts, bulk=True)
            with pytest.raises(ValueError, match="cannot judge"):
                await urgent

    run(scenario, one)


def test_a_time_out_of_the_model_itself_is_its_own_and_no_missed_deadline(bench: Callable[..., Bench]) -> None:
    class Slow(FaultyClassifier):
        def logits(self, posts: Any) -> Any:
            try:
                return super().logits(posts)
            except ValueError:
                raise TimeoutError("of something else") from None

    one = bench(Slow())

    async def scenario() -> None:
        with pytest.raises(TimeoutError, match="of something else"):
            await one.ask(FAULT_WORD)

    run(scenario, one)


def test_an_interactive_post_goes_before_the_rest_of_a_bulk_batch(bench: Callable[..., Bench]) -> None:
    classifier = GatedClassifier()
    one = bench(classifier)
    classifier.seen.clear()

    async def scenario() -> None:
        bulk = asyncio.create_task(one.ask(GATE_WORD, "one", "two", "three", bulk=True))
        await asyncio.to_thread(classifier.entered.wait, WAIT_S)
        urgent = asyncio.create_task(one.ask("urgent"))
        await settle()
        assert one.count("waiting_posts", lane="interactive") == 1
        assert one.count("waiting_posts", lane="bulk") == 3
        classifier.gate.set()
        await asyncio.gather(bulk, urgent)
        assert classifier.seen == [GATE_WORD, "urgent", "one", "two", "three"]

    run(scenario, one)


def test_what_is_cancelled_or_late_before_it_began_never_runs_and_is_counted(bench: Callable[..., Bench]) -> None:
    classifier = GatedClassifier()
    one = bench(classifier)
    classifier.seen.clear()

    async def scenario() -> None:
        gate = asyncio.create_task(one.ask(GATE_WORD))
        await asyncio.to_thread(classifier.entered.wait, WAIT_S)
        gone = asyncio.create_task(one.ask("gone", "away", bulk=True))
        late = asyncio.create_task(one.ask("late", within_s=SOON_S))
        await settle()
        assert one.engine.posts_in_work == 4
        gone.cancel()
        with pytest.raises(DeadlineError):
            await late
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert one.engine.posts_in_work == 1
        classifier.gate.set()
        await gate
        assert classifier.seen == [GATE_WORD]
        assert one.count("unrun_total", why="expired") == 1
        assert one.count("unrun_total", why="abandoned") == 2

    run(scenario, one)


def test_before_it_is_read_a_post_counts_as_a_short_one_while_a_worker_is_free_and_then_as_the_others(
    bench: Callable[..., Bench],
) -> None:
    classifier = GatedClassifier()
    one = bench(classifier)
    one.model.costs.typical_s = 1.0

    async def scenario() -> None:
        def check(within_s: float) -> None:
            one.engine.check(one.model, deadline_s=asyncio.get_running_loop().time() + within_s)

        check(0.3)
        gate = asyncio.create_task(one.ask(GATE_WORD))
        await asyncio.to_thread(classifier.entered.wait, WAIT_S)
        with pytest.raises(OverloadedError):
            check(0.3)
        check(LATE_S)
        classifier.gate.set()
        await gate
        check(0.3)

    run(scenario, one)


def test_a_deadline_that_has_passed_already_is_missed_and_nothing_is_run(bench: Callable[..., Bench]) -> None:
    classifier = GatedClassifier()
    one = bench(classifier)
    classifier.seen.clear()

    async def scenario() -> None:
        for texts in (["late"], ["late", "too"], ["late " * LONG_POST_BYTES]):
            with pytest.raises(DeadlineError):
                await one.ask(*texts, within_s=-1.0)
        assert classifier.seen == []

    run(scenario, one)


def test_a_batch_is_accepted_whole_or_not_at_all(bench: Callable[..., Bench]) -> None:
    classifier = GatedClassifier()
    one = bench(classifier, queue_posts=3)
    classifier.seen.clear()

    async def scenario() -> None:
        first = asyncio.create_task(one.ask(GATE_WORD, "b", bulk=True))
        await asyncio.to_thread(classifier.entered.wait, WAIT_S)
        with pytest.raises(OverloadedError) as refused:
            await one.ask("c", "d", bulk=True)
        assert refused.value.headers is not None
        assert int(refused.value.headers["Retry-After"]) >= 1
        single = asyncio.create_task(one.ask("e"))
        await settle()
        assert one.engine.posts_in_work == 3
        deadline_s = asyncio.get_running_loop().time() + LATE_S
        with pytest.raises(OverloadedError):
            one.engine.check(one.model, deadline_s=deadline_s)
        classifier.gate.set()
        await asyncio.gather(first, single)
        one.engine.check(one.model, deadline_s=deadline_s)
        assert set(classifier.seen) == {GATE_WORD, "b", "e"}

    run(scenario, one)


def test_long_posts_are_read_on_a_worker_and_answered_like_any_other(bench: Callable[..., Bench]) -> None:
    one = bench(workers=2)
    texts = ["parcel " * 200, "scam " * 300, "lol"]

    async def scenario() -> None:
        assert await one.ask(*texts, bulk=True) == one.model.predictor.predict(posts(*texts))
        assert await one.ask(texts[0]) == one.model.predictor.predict(posts(texts[0]))

    run(scenario, one)


def test_the_loop_is_given_back_between_the_posts_of_a_batch(bench: Callable[..., Bench]) -> None:
    one = bench()
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def scenario() -> None:
        counting = asyncio.create_task(count_turns())
        await one.ask(*(f"parcel {number}" for number in range(50)), bulk=True)
        counting.cancel()
        assert turns >= 3 * 49  # after reading a post, after its facts, and after its decision

    run(scenario, one)


def test_timing_says_where_the_time_went(bench: Callable[..., Bench]) -> None:
    one = bench()

    async def scenario() -> None:
        deadline_s = asyncio.get_running_loop().time() + LATE_S
        first, again = Timing(), Timing()
        for timing in (first, again):
            await one.engine.predict(one.model, posts("parcel"), deadline_s=deadline_s, bulk=False, timing=timing)
        assert min(first.queue_s, first.read_s, first.infer_s, first.decide_s) > 0
        assert (again.queue_s, again.infer_s) == (0, 0)  # nothing was run

    run(scenario, one)


@asynccontextmanager
async def closed_gate(one: Bench, classifier: GatedClassifier) -> Any:
    """The only worker stands at the gate while this is open."""
    gate = asyncio.create_task(one.ask(GATE_WORD))
    await asyncio.to_thread(classifier.entered.wait, WAIT_S)
    yield
    classifier.gate.set()
    await gate


def test_a_shadow_judges_when_nothing_else_waits_and_tells_it_all_at_once(bench: Callable[..., Bench]) -> None:
    classifier = GatedClassifier()
    one = bench(classifier)
    classifier.seen.clear()
    told: list[list[Prediction]] = []
    complete = Event()

    def then(predictions: list[Prediction]) -> None:
        told.append(predictions)
        complete.set()

    async def scenario() -> None:
        async with closed_gate(one, classifier):
            assert one.engine.shadow(one.model, posts("parcel", "scam"), then)
            answered = asyncio.create_task(one.ask("lol"))
            await settle()
        await answered
        await asyncio.to_thread(complete.wait, WAIT_S)
        assert classifier.seen == [GATE_WORD, "lol", "parcel", "scam"]
        assert told == [one.model.predictor.predict(posts("parcel", "scam"))]

    run(scenario, one)


def test_a_shadow_is_dropped_where_the_workers_are_not_idle_enough(bench: Callable[..., Bench]) -> None:
    classifier = GatedClassifier()
    one = bench(classifier)

    async def scenario() -> None:
        async with closed_gate(one, classifier):
            assert one.engine.shadow(one.model, posts("parcel") * 256, lambda _: None)
            assert not one.engine.shadow(one.model, posts("parcel"), lambda _: None)

    run(scenario, one)


class Seen(logging.Filter):
    """Lets every record of a log through, and tells that one came."""

    def __init__(self) -> None:
        super().__init__()
        self.record = Event()

    def filter(self, _: logging.LogRecord) -> bool:
        self.record.set()
        return True


def test_a_shadow_that_fails_is_logged_without_its_text_and_hurts_nobody(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    one = bench(FaultyClassifier())
    told: list[list[Prediction]] = []
    seen = Seen()

    async def scenario() -> None:
        assert one.engine.shadow(one.model, posts(f"secret {FAULT_WORD}"), told.append)
        assert (await one.ask("parcel"))[0].route == "simple"
        assert await asyncio.to_thread(seen.record.wait, WAIT_S)  # it runs when there is nothing better to do

    with caplog.filtering(seen):
        run(scenario, one)
    assert told == []
    assert [record.getMessage() for record in caplog.records] == ["shadow_failed"]
    assert "secret" not in str(vars(caplog.records[0]))


def test_a_model_that_gives_no_numbers_is_not_warmed(make_predictor: MakePredictor) -> None:
    class Broken(FakeClassifier):
        def logits(self, posts: Any) -> Any:
            found = super().logits(posts)
            found.route[:] = float("nan")
            return found

    with pytest.raises(ValueError, match="RouteAnswer"):
        Engine(Metrics(), workers=1, queue_posts=1).warm(make_predictor(Broken()))
