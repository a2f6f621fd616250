"""The engine: turns posts into predictions of one loaded model, whichever that is. Knows nothing of champions or HTTP.

Each request carries its model, so an answer never mixes versions and a swap drops nothing; the threads outlive all
models.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from threading import Lock
from weakref import WeakSet

from data.post import Author, Post
from models.policy import Policy, PolicyError
from models.predictor import Prediction, Predictor, Stage
from serving.answers import answer
from serving.cache import Cache
from serving.costs import CostModel
from serving.errors import DeadlineError, OverloadedError
from serving.lanes import Lane, RefusedError, Task
from serving.logs import fault_of
from serving.metrics import Metrics
from serving.passage import Passage, ServedModel, size_bytes
from serving.scheduler import Scheduler
from serving.timing import Timing
from serving.wire import Versions

__all__ = ["Engine", "ServedModel", "Then", "under", "versions_of"]
Then = Callable[[list[Prediction]], None]
LOG = logging.getLogger("signalbox.engine")

WARM_UP_POSTS = (
    Post(text="where do I track my parcel?"),
    Post(text="still waiting. " * 100, platform="x", author=Author(followers=12, bio="walks, mostly")),
)
"""One short and one of several windows, so that every path of the model has run before the first caller comes."""
_WARM_UP_ROUNDS = 3
"""The first run of a graph allocates; by the third a post takes its usual time (docs/operations.md, "Start")."""
_SHADOW_POSTS = 256
"""Most shadow posts that wait, a whole batch; where so many do, the workers are not idle enough for more."""
_LEAST_TOKENS = 8
"""No post is shorter: three special tokens, the platform and a word or two."""
_BYTES_A_TOKEN = 4
"""Of English posts; only to foretell what a shadow post takes, which is not read before it runs."""


def versions_of(predictor: Predictor) -> Versions:
    """What a predictor answers with."""
    manifest = predictor.bundle.manifest
    return Versions(
        model=manifest.model_version,
        policy=predictor.policy.version,
        taxonomy=manifest.taxonomy,
        rendering=manifest.rendering,
    )


def _measure(predictor: Predictor, post: Post) -> tuple[int, float]:
    """Tokens of a post, and the seconds its inference takes once all is warm; every path to an answer has then run."""
    taken_s: list[float] = []

    def observe(stage: Stage, seconds: float) -> None:
        if stage == "infer":
            taken_s.append(seconds)

    for _ in range(_WARM_UP_ROUNDS):
        (found,) = predictor.predict([post], observe)
        answer(post, found, prediction_id="", policy=predictor.policy, versions=versions_of(predictor))
    return found.tokens, min(taken_s)


def under(model: ServedModel, policy: Policy) -> ServedModel:
    """The same model, warm as it is, deciding by another policy; its cache holds scores, which no policy changes.

    Raises:
        PolicyError: when the policy names an intent that the model does not know, or has the version of the model's own
            policy and says something else, since answers name nothing but the version.
    """
    if policy.version == model.own_policy.version and policy != model.own_policy:
        raise PolicyError(
            f"Policy version {policy.version} was not put in force: the model's own policy has that version and says "
            "something else. Wanted: a version of its own. Propose it anew under another name."
        )
    predictor = model.predictor.under(policy)
    return replace(model, predictor=predictor, versions=versions_of(predictor))


def _overloaded(error: RefusedError) -> OverloadedError:
    return OverloadedError(
        f"The request was not accepted: {error}. Wanted: room among the SIGNALBOX_QUEUE_POSTS and an answer within "
        f"X-Request-Timeout-Ms and SIGNALBOX_REQUEST_TIMEOUT_MS. Send it again after {error.retry_after_s} s, send "
        "fewer posts at a time, or give them to an agent.",
        retry_after_s=error.retry_after_s,
    )


class _ShadowRun:
    """Posts that a shadow model judges, one task each; `then` is told once all are."""

    def __init__(self, model: ServedModel, posts: Sequence[Post], then: Then) -> None:
        self._model = model
        self._posts = posts
        self._then = then
        self._found: dict[int, Prediction] = {}
        self._lock = Lock()

    def tasks(self) -> list[Task[None]]:
        foretell = self._model.costs.seconds
        return [
            Task(partial(self._run, place, post), foretell(_LEAST_TOKENS + size_bytes(post) // _BYTES_A_TOKEN))
            for place, post in enumerate(self._posts)
        ]

    def _run(self, place: int, post: Post) -> None:
        try:
            (prediction,) = self._model.predictor.predict([post])
            with self._lock:
                self._found[place] = prediction
                complete = len(self._found) == len(self._posts)
            if complete:
                self._then([self._found[each] for each in range(len(self._posts))])
        except Exception as error:  # noqa: BLE001 - a shadow answers nobody: whatever fails in it is told to the log alone
            LOG.error("shadow_failed", extra={"fields": {"model": self._model.versions.model, **fault_of(error)}})


class Engine:
    """Runs posts on `workers` threads, at most `queue_posts` of them accepted and not yet answered at a time.

    Each model that it warms has a cache of `cache_posts` posts. Its coroutines belong to one event loop.
    """

    def __init__(self, metrics: Metrics, *, workers: int, queue_posts: int, cache_posts: int = 0) -> None:
        self._metrics = metrics
        self._cache_posts = cache_posts
        self._caches: WeakSet[Cache] = WeakSet()
        self._scheduler = Scheduler(workers=workers, queue_posts=queue_posts, unrun=metrics.observe_unrun)
        metrics.watch_engine(
            waiting={lane.name.lower(): partial(self._scheduler.waiting, lane) for lane in Lane},
            cached_posts=lambda: sum(map(len, self._caches)),
        )

    @property
    def posts_in_work(self) -> int:
        """Posts that requests wait for."""
        return self._scheduler.posts_in_work

    def warm(self, predictor: Predictor) -> ServedModel:
        """The model of `predictor`, warmed up and measured on the calling thread, which must not be the loop's.

        Raises:
            ValueError: when what the model gives cannot be said in an answer, such as a score that is no number.
        """
        short, long = (_measure(predictor, post) for post in WARM_UP_POSTS)
        cache = Cache(self._cache_posts, self._metrics.observe_eviction)
        self._caches.add(cache)
        return ServedModel(predictor, versions_of(predictor), CostModel(short, long), cache, predictor.policy)

    def _until_s(self, deadline_s: float) -> float:
        """A time of the running loop's clock as one of the scheduler's."""
        return self._scheduler.clock() + deadline_s - asyncio.get_running_loop().time()

    def check(self, model: ServedModel, *, deadline_s: float) -> None:
        """Nothing; where a post would be refused, says so before a body is read and parsed for it.

        Where a worker is free that is the shortest post there can be, else one that takes what posts took of late:
        under overload most are longer than the shortest, and reading them only to refuse them costs others' time.

        Raises:
            OverloadedError: when it would be.
        """
        seconds = model.costs.typical_s if self._scheduler.crowded else model.costs.seconds(_LEAST_TOKENS)
        until_s = self._until_s(deadline_s)
        try:
            self._scheduler.check(Lane.INTERACTIVE, seconds=seconds, deadline_s=until_s)
        except RefusedError as error:
            raise _overloaded(error) from None

    async def predict(
        self, model: ServedModel, posts: Sequence[Post], *, deadline_s: float, bulk: bool, timing: Timing | None = None
    ) -> list[Prediction]:
        """Predictions of posts by `model`, in order; `deadline_s` is a time of the running loop's clock.

        `bulk` posts run after all that are not. `timing` is told where the time went. Whoever cancels it withdraws what
        has not begun.

        Raises:
            OverloadedError: when they cannot all be done in time, or the queue has no room for all of them.
            DeadlineError: when they are not all done in time.
        """
        lane, until_s = Lane.BULK if bulk else Lane.INTERACTIVE, self._until_s(deadline_s)
        try:
            async with asyncio.timeout_at(deadline_s) as deadline:
                return await Passage(
                    model, lane, until_s, deadline, timing or Timing(), self._scheduler, self._metrics
                ).predict(posts)
        except RefusedError as error:
            raise _overloaded(error) from None
        except TimeoutError:
            if not deadline.expired() and self._scheduler.clock() < until_s:
                raise  # a time-out of something else
            raise DeadlineError(
                f"The request of {len(posts)} posts was given up: it was not done before its deadline. Wanted: all "
                "within X-Request-Timeout-Ms and SIGNALBOX_REQUEST_TIMEOUT_MS. Give it to an agent, or send fewer "
                "posts at a time."
            ) from None

    def shadow(self, model: ServedModel, posts: Sequence[Post], then: Then) -> bool:
        """True where a worker will tell `then` what `model` makes of posts; false where they are dropped.

        They run when nothing else is there to run. What fails on the way is logged, and `then` is not told.
        """
        return self._scheduler.shadow(_ShadowRun(model, posts, then).tasks(), most=_SHADOW_POSTS)

    def close(self) -> None:
        """Nothing; from now on nothing is accepted. Returns when all that was has run."""
        self._scheduler.close()
