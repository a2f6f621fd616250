"""The engine: turns posts into predictions of one loaded model, whichever that is. Knows nothing of champions or HTTP.

Each accepted request carries its model, so an answer never mixes versions and a swap drops nothing; the threads
outlive all models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from data.post import Author, Post
from models.predictor import Prediction, Predictor
from serving.answers import answer
from serving.metrics import Metrics
from serving.scheduler import Scheduler
from serving.wire import Versions

WARM_UP_POSTS = (
    Post(text="where do I track my parcel?"),
    Post(text="still waiting. " * 200, platform="x", author=Author(followers=12, bio="walks, mostly")),
)
"""One short and one of several windows, so that every path of the model has run before the first caller comes."""
_WARM_UP_ROUNDS = 3
"""The first run of a graph allocates; by the third a post takes its usual time (docs/operations.md, "Start")."""


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """One loaded, verified, warmed bundle, with what belongs to it alone. Made by `Engine.warm`."""

    predictor: Predictor
    versions: Versions


def versions_of(predictor: Predictor) -> Versions:
    """What a predictor answers with."""
    manifest = predictor.bundle.manifest
    return Versions(
        model=manifest.model_version,
        policy=predictor.policy.version,
        taxonomy=manifest.taxonomy,
        rendering=manifest.rendering,
    )


def _warm_up(predictor: Predictor) -> float:
    """Seconds that a short post takes once the model is warm; every path to an answer has then run."""
    versions = versions_of(predictor)
    for _ in range(_WARM_UP_ROUNDS):
        for post, found in zip(WARM_UP_POSTS, predictor.predict(WARM_UP_POSTS), strict=True):
            answer(post, found, prediction_id="", policy=predictor.policy, versions=versions)
    start = perf_counter()
    predictor.predict(WARM_UP_POSTS[:1])
    return perf_counter() - start


class Engine:
    """Runs posts on `workers` threads, at most `queue_posts` of them accepted and not yet answered at a time."""

    def __init__(self, metrics: Metrics, *, workers: int, queue_posts: int) -> None:
        self._scheduler = Scheduler(metrics, workers=workers, queue_posts=queue_posts)

    @property
    def posts_in_work(self) -> int:
        """Posts accepted and not yet answered."""
        return self._scheduler.posts_in_work

    def warm(self, predictor: Predictor) -> ServedModel:
        """The model of `predictor`, warmed up and measured on the calling thread, which must not be the loop's.

        Raises:
            ValueError: when what the model gives cannot be said in an answer, such as a score that is no number.
        """
        self._scheduler.service_s = _warm_up(predictor)
        return ServedModel(predictor, versions_of(predictor))

    async def predict(
        self,
        model: ServedModel,
        posts: Sequence[Post],
        *,
        deadline_s: float,
        bulk: bool,  # noqa: ARG002 - lanes come next
    ) -> list[Prediction]:
        """Predictions of posts by `model`, in order; `deadline_s` is a time of the running loop's clock.

        `bulk` posts run after all that are not.

        Raises:
            OverloadedError: when they cannot all be done in time, or the queue has no room for all of them.
            DeadlineError: when they are not all done in time.
        """
        return await self._scheduler.predict(model.predictor.predict, posts, deadline_s=deadline_s)

    def shadow(
        self,
        model: ServedModel,  # noqa: ARG002 - comes with the lanes
        posts: Sequence[Post],  # noqa: ARG002 - likewise
        then: Callable[[list[Prediction]], None],  # noqa: ARG002 - likewise
    ) -> bool:
        """True where `then` will be told, on some thread, what `model` makes of posts; false where they are dropped.

        Runs when nothing else is there to run and never delays an answer.
        """
        return False

    def close(self) -> None:
        """Nothing; waits for what runs and drops what waits."""
        self._scheduler.close()
