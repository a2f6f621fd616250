"""A bounded pool of threads that predict, with a bounded queue before it and a deadline for each request.

The event loop only accepts and answers; every post is run on a worker thread, one at a time (batch invariance makes
that free of difference, `docs/decisions/0002`). What does not fit is refused at once, with the time after which it
should; what is late is given up. A worker whose request was given up stops before its next post.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock
from time import perf_counter

from data.post import Post
from models.predictor import Observe, Prediction
from serving.errors import DeadlineError, OverloadedError
from serving.metrics import Metrics

Predict = Callable[[Sequence[Post], Observe], list[Prediction]]

_SMOOTHING = 0.1
"""Weight of the newest post in the measured service time: it follows a change within some twenty posts."""


@dataclass(frozen=True, slots=True)
class _Job:
    predict: Predict
    posts: tuple[Post, ...]
    accepted_at: float = field(default_factory=perf_counter)
    given_up: Event = field(default_factory=Event)


class Scheduler:
    """Runs posts on `workers` threads, at most `queue_posts` of them accepted at a time.

    `service_s` is the first measure of how long one post takes (from the warm-up); it is measured on from there.
    """

    def __init__(self, metrics: Metrics, *, workers: int, queue_posts: int, service_s: float = 0.0) -> None:
        self._metrics = metrics
        self._workers = workers
        self._queue_posts = queue_posts
        self.service_s = service_s
        self._posts_in_work = 0
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="predict")

    @property
    def posts_in_work(self) -> int:
        """Posts accepted and not yet answered, those of given-up requests included while they still run."""
        return self._posts_in_work

    @property
    def retry_after_s(self) -> int:
        """Whole seconds, at least 1, after which all that is accepted now should be done."""
        return max(1, math.ceil(self._posts_in_work * self.service_s / self._workers))

    def _accept(self, posts: int) -> None:
        with self._lock:
            if self._posts_in_work + posts > self._queue_posts:
                retry_after_s = self.retry_after_s
                raise OverloadedError(
                    f"The request of {posts} posts was not accepted: {self._posts_in_work} are in work. Allowed: "
                    f"{self._queue_posts} at a time. Send it again after {retry_after_s} s, or give it to an agent.",
                    retry_after_s=retry_after_s,
                )
            self._posts_in_work += posts

    def _release(self, posts: int) -> None:
        with self._lock:
            self._posts_in_work -= posts

    def _measure(self, seconds: float) -> None:
        with self._lock:
            self.service_s += _SMOOTHING * (seconds - self.service_s)

    def _run(self, job: _Job) -> list[Prediction]:
        started = perf_counter()
        self._metrics.observe_stage("queue", started - job.accepted_at)
        predictions: list[Prediction] = []
        for post in job.posts:
            if job.given_up.is_set():
                break
            predictions += job.predict([post], self._metrics.observe_stage)
            done = perf_counter()
            self._measure(done - started)
            started = done
        return predictions

    async def predict(self, predict: Predict, posts: Sequence[Post], *, deadline_s: float) -> list[Prediction]:
        """What `predict` makes of posts, in order; `deadline_s` is a time of the running loop's clock.

        Raises:
            OverloadedError: when the queue has no room for all of them.
            DeadlineError: when they are not all done in time.
        """
        self._accept(len(posts))
        job = _Job(predict, tuple(posts))
        running: Future[list[Prediction]] = self._pool.submit(self._run, job)
        running.add_done_callback(lambda _: self._release(len(job.posts)))
        try:
            async with asyncio.timeout_at(deadline_s) as deadline:
                return await asyncio.wrap_future(running)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise DeadlineError(
                f"The request of {len(posts)} posts was given up: it was not done before the deadline. Wanted: all "
                "within SIGNALBOX_REQUEST_TIMEOUT_MS. Give it to an agent, or send fewer posts at a time."
            ) from None
        finally:
            job.given_up.set()

    def close(self) -> None:
        """Nothing; waits for what runs and drops what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)
