import asyncio
from collections.abc import Sequence
from threading import Event, current_thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.post import Post
from models.predictor import Observe, Prediction, Predictor
from serving.errors import DeadlineError, OverloadedError
from serving.metrics import Metrics
from serving.scheduler import Scheduler
from tests.serving.clients import WAIT_S, MakePredictor

SOON_S = 0.02
"""A deadline that passes while a gate is closed; the gate never opens by itself, so no longer one is needed."""
LATE_S = 60.0


class GatedPredict:
    """Predicts as a predictor does, once its gate is open; remembers which posts it began and on which thread."""

    def __init__(self, predictor: Predictor, *, open_gate: bool = False) -> None:
        self._predictor = predictor
        self.gate = Event()
        self.entered = Event()
        self.begun: list[str] = []
        self.threads: set[str] = set()
        if open_gate:
            self.gate.set()

    def __call__(self, posts: Sequence[Post], observe: Observe) -> list[Prediction]:
        self.begun += [post.text for post in posts]
        self.threads.add(current_thread().name)
        self.entered.set()
        if not self.gate.wait(WAIT_S):
            raise RuntimeError("The test never opened the gate.")
        return self._predictor.predict(posts, observe)


def posts(*texts: str) -> list[Post]:
    return [Post(text=text) for text in texts]


def deadline(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


@pytest.fixture
def predict(make_predictor: MakePredictor) -> GatedPredict:
    return GatedPredict(make_predictor())


def scheduler_of(*, workers: int = 1, queue_posts: int = 8, service_s: float = 0.01) -> Scheduler:
    return Scheduler(Metrics(), workers=workers, queue_posts=queue_posts, service_s=service_s)


def test_answers_come_in_the_order_of_the_posts_and_from_a_worker_thread(predict: GatedPredict) -> None:
    async def scenario() -> None:
        predict.gate.set()
        scheduler = scheduler_of(workers=2)
        found = await scheduler.predict(predict, posts("parcel", "still nothing", "scam"), deadline_s=deadline(LATE_S))
        assert [each.route for each in found] == ["simple", "complex", "sensitive"]
        assert scheduler.posts_in_work == 0
        assert all(name.startswith("predict") for name in predict.threads)
        scheduler.close()

    asyncio.run(scenario())


def test_no_more_posts_are_accepted_than_the_queue_holds(predict: GatedPredict) -> None:
    async def scenario() -> None:
        scheduler = scheduler_of(queue_posts=3)
        accepted = asyncio.create_task(scheduler.predict(predict, posts("a", "b"), deadline_s=deadline(LATE_S)))
        await asyncio.to_thread(predict.entered.wait, WAIT_S)
        with pytest.raises(OverloadedError):
            await scheduler.predict(predict, posts("c", "d"), deadline_s=deadline(LATE_S))
        waiting = asyncio.create_task(scheduler.predict(predict, posts("e"), deadline_s=deadline(LATE_S)))
        await asyncio.sleep(0)  # lets the task begin; no time passes
        assert scheduler.posts_in_work == 3
        with pytest.raises(OverloadedError):
            await scheduler.predict(predict, posts("f"), deadline_s=deadline(LATE_S))
        predict.gate.set()
        assert len(await accepted) == 2
        assert len(await waiting) == 1
        assert scheduler.posts_in_work == 0
        scheduler.close()

    asyncio.run(scenario())


def test_a_worker_stops_before_the_next_post_of_a_request_that_was_given_up(predict: GatedPredict) -> None:
    async def scenario() -> None:
        scheduler = scheduler_of()
        with pytest.raises(DeadlineError):
            await scheduler.predict(predict, posts("first", "second", "third"), deadline_s=deadline(SOON_S))
        assert scheduler.posts_in_work == 3  # one of them still runs
        predict.gate.set()
        await asyncio.to_thread(scheduler.close)
        assert predict.begun == ["first"]
        assert scheduler.posts_in_work == 0

    asyncio.run(scenario())


def test_a_request_that_was_given_up_while_it_waited_never_runs(predict: GatedPredict) -> None:
    async def scenario() -> None:
        scheduler = scheduler_of()
        running = asyncio.create_task(scheduler.predict(predict, posts("running"), deadline_s=deadline(LATE_S)))
        await asyncio.to_thread(predict.entered.wait, WAIT_S)
        with pytest.raises(DeadlineError):
            await scheduler.predict(predict, posts("waiting"), deadline_s=deadline(SOON_S))
        assert scheduler.posts_in_work == 1
        predict.gate.set()
        await running
        scheduler.close()
        assert predict.begun == ["running"]

    asyncio.run(scenario())


def test_a_deadline_that_has_passed_already_is_missed(predict: GatedPredict) -> None:
    async def scenario() -> None:
        scheduler = scheduler_of()
        with pytest.raises(DeadlineError):
            await scheduler.predict(predict, posts("late"), deadline_s=deadline(-1))
        predict.gate.set()
        await asyncio.to_thread(scheduler.close)

    asyncio.run(scenario())


def test_a_fault_of_the_predictor_is_its_own_even_where_it_is_a_time_out() -> None:
    def broken(posts: Sequence[Post], observe: Observe) -> list[Prediction]:
        raise TimeoutError("of something else")

    async def scenario() -> None:
        scheduler = Scheduler(Metrics(), workers=1, queue_posts=1, service_s=0.01)
        with pytest.raises(TimeoutError, match="of something else"):
            await scheduler.predict(broken, posts("a"), deadline_s=deadline(LATE_S))
        assert scheduler.posts_in_work == 0
        scheduler.close()

    asyncio.run(scenario())


@given(in_work=st.integers(1, 500), workers=st.integers(1, 64), service_s=st.floats(0.0001, 10.0, allow_nan=False))
def test_retry_after_is_the_time_in_which_the_workers_clear_what_is_in_work(
    in_work: int, workers: int, service_s: float
) -> None:
    async def scenario() -> None:
        gate = Event()

        def wait(posts: Sequence[Post], observe: Observe) -> list[Prediction]:
            gate.wait(WAIT_S)
            return []

        scheduler = Scheduler(Metrics(), workers=workers, queue_posts=in_work, service_s=service_s)
        task = asyncio.create_task(scheduler.predict(wait, posts("a") * in_work, deadline_s=deadline(LATE_S)))
        await asyncio.sleep(0)  # lets the task begin; no time passes
        with pytest.raises(OverloadedError) as refused:
            await scheduler.predict(wait, posts("b"), deadline_s=deadline(LATE_S))
        assert refused.value.headers is not None
        said = int(refused.value.headers["Retry-After"])
        assert said >= 1
        assert said - 1 <= in_work * service_s / workers <= said or said == 1
        gate.set()
        await task
        scheduler.close()

    asyncio.run(scenario())


def test_the_service_time_follows_what_posts_really_take(predict: GatedPredict) -> None:
    """The first guess is an hour a post; posts that take no time at all bring it down below a second."""

    async def scenario() -> None:
        predict.gate.set()
        scheduler = scheduler_of(queue_posts=300, service_s=3_600.0)
        await scheduler.predict(predict, posts("a") * 200, deadline_s=deadline(LATE_S))
        predict.gate.clear()
        task = asyncio.create_task(scheduler.predict(predict, posts("b"), deadline_s=deadline(LATE_S)))
        await asyncio.sleep(0)  # lets the task begin; no time passes
        assert scheduler.retry_after_s == 1
        predict.gate.set()
        await task
        scheduler.close()

    asyncio.run(scenario())
