"""One request on its way: its posts read, inferred and judged by one model. For the event loop's thread alone.

A post is read on the loop, since the cache and the gate need its tokens; its inference runs on a worker; its facts are
read on the loop meanwhile, and the decision is made there after it. Between the posts of a batch the loop is given
back. A long post is read on a worker too (`docs/decisions/0017`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

from data.post import Post
from models.policy import Facts, Policy
from models.predictor import Prediction, Predictor, Probabilities, ReadPost
from serving.cache import Cache, Found, Inference, Key, key_of
from serving.costs import CostModel
from serving.lanes import Lane, State, Task, Ticket
from serving.metrics import Metrics
from serving.scheduler import Scheduler
from serving.timing import Timing
from serving.wire import Versions

LONG_POST_BYTES = 1_000
"""Up to here reading takes some 3 ms at worst (emoji joined to emoji); above, up to 30 ms (`docs/decisions/0017`)."""
_READ_S_PER_BYTE = 3e-6
"""Likewise: 28 ms for 10,000 characters full of links, numbers and emoji."""

Boarded = list[tuple[Key, Probabilities | Inference]]


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """One loaded, verified, warmed bundle, with what belongs to it alone. Made by `Engine.warm`.

    `own_policy` is the one it was loaded with; `serving.engine.under` puts it under another.
    """

    predictor: Predictor
    versions: Versions
    costs: CostModel
    cache: Cache
    own_policy: Policy


def raise_fault(tasks: Iterable[Task[Any]]) -> None:
    """Nothing; raises the error of a task that failed. The others need not be done: one fault wakes whoever waits."""
    for task in tasks:
        if task.error is not None:
            raise task.error


def size_bytes(post: Post) -> int:
    """Bytes of the texts that reading a post goes through."""
    bio = post.author.bio if post.author else None
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in (post.text, bio, post.in_reply_to) if text)


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """What every step of one request needs. `until_s` is its deadline by the scheduler's clock."""

    model: ServedModel
    lane: Lane
    until_s: float
    deadline: asyncio.Timeout
    timing: Timing
    scheduler: Scheduler
    metrics: Metrics

    async def predict(self, posts: Sequence[Post]) -> list[Prediction]:
        """Predictions of posts, in order.

        Raises:
            RefusedError: when they are not let in.
            TimeoutError: when the deadline has passed before they could be.
        """
        reads = await self._read(posts)
        found, facts = await self._infer(reads)
        started = perf_counter()
        predictions = []
        for place, read in enumerate(reads):
            if place:
                await asyncio.sleep(0)
            predictions.append(self.model.predictor.judge(read, found[place], facts[place], self.metrics.observe_stage))
        self.timing.tell("decide_s", perf_counter() - started)
        return predictions

    @asynccontextmanager
    async def _running(self, tasks: Sequence[Task[Any]]) -> AsyncIterator[Awaitable[None]]:
        """What tells, in one wake-up, that all tasks are done or one has failed; left early, they are withdrawn."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        def wake() -> None:
            if not loop.is_closed():  # a forced stop waits for nobody
                loop.call_soon_threadsafe(finish)

        if self.scheduler.clock() >= self.until_s:
            raise TimeoutError
        ticket = Ticket(tasks, self.lane, self.until_s, wake)
        self.scheduler.submit(ticket)
        if not ticket.unfinished:
            finish()
        try:
            yield done
        finally:
            self.scheduler.leave(ticket, "expired" if self.deadline.expired() else "abandoned")

    async def _read(self, posts: Sequence[Post]) -> list[ReadPost]:
        started = perf_counter()
        read = partial(self.model.predictor.read, observe=self.metrics.observe_stage)
        sizes = [size_bytes(post) for post in posts]
        long = {
            place: Task(partial(read, posts[place]), _READ_S_PER_BYTE * size)
            for place, size in enumerate(sizes)
            if size > LONG_POST_BYTES
        }
        if long:
            async with self._running(list(long.values())) as done:
                await done
            raise_fault(long.values())
        reads = []
        for place, post in enumerate(posts):
            if place:
                await asyncio.sleep(0)
            reads.append(long[place].outcome() if place in long else read(post))
        self.timing.tell("read_s", perf_counter() - started)
        return reads

    def _inference(self, read: ReadPost) -> Inference:
        costs = self.model.costs
        infer = partial(self.model.predictor.infer, read.encoded, self.metrics.observe_stage)
        return Task(infer, costs.seconds(read.tokens), partial(costs.observe, read.tokens))

    def _board(self, reads: Sequence[ReadPost]) -> tuple[Boarded, dict[Key, Inference], list[Found]]:
        """What is known of each post or will be, the inferences that are new, and how each was found in the cache."""
        cache = self.model.cache
        if not cache.posts:
            return [(b"", self._inference(read)) for read in reads], {}, []
        boarded: Boarded = []
        new: dict[Key, Inference] = {}
        kinds: list[Found] = []
        for read in reads:
            key = key_of(read.rendered)
            found = cache.find(key) or new.get(key)
            kinds.append("miss" if found is None else "joined" if isinstance(found, Task) else "hit")
            if found is None:
                found = new[key] = self._inference(read)
            boarded.append((key, found))
        return boarded, new, kinds

    async def _look(self, reads: Sequence[ReadPost]) -> list[Facts]:
        facts = []
        for place, read in enumerate(reads):
            if place:
                await asyncio.sleep(0)
            facts.append(self.model.predictor.look(read, self.metrics.observe_stage))
        return facts

    async def _infer(self, reads: Sequence[ReadPost]) -> tuple[list[Probabilities], list[Facts]]:
        cache = self.model.cache
        boarded, new, kinds = self._board(reads)
        tasks = [found for _, found in boarded if isinstance(found, Task)]
        came_s = self.scheduler.clock()
        try:
            async with self._running(tasks) as done:
                for key, task in new.items():
                    cache.expect(key, task)
                self.metrics.observe_cache(kinds)
                facts = await self._look(reads)
                await done
        finally:
            for key, found in boarded:
                if isinstance(found, Task):
                    cache.settle(key, found)
            self._tell_handover(tasks)
        raise_fault(tasks)
        self._tell_times(tasks, came_s)
        return [found.outcome() if isinstance(found, Task) else found for _, found in boarded], facts

    def _tell_handover(self, tasks: Sequence[Inference]) -> None:
        """Nothing; told of those, too, whose deadline passed meanwhile: they waited longest."""
        if tasks and all(task.state is State.DONE for task in tasks):
            self.scheduler.observe_handover(self.scheduler.clock() - max(task.done_s for task in tasks))

    def _tell_times(self, tasks: Sequence[Inference], came_s: float) -> None:
        if tasks:
            begun_s = max(came_s, min(task.begun_s for task in tasks))  # a joined one may have begun before we came
            self.timing.tell("queue_s", begun_s - came_s)
            self.timing.tell("infer_s", max(0.0, max(task.done_s for task in tasks) - begun_s))
            self.metrics.observe_stage("queue", begun_s - came_s)
