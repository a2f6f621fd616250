"""The model in service: loaded, warmed up, asked, drained. Knows nothing of HTTP but the errors it answers with."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event
from time import perf_counter
from typing import Literal

from ulid import ULID

from data.post import Author, Post
from models.bundle import BundleError
from models.predictor import Prediction, Predictor
from serving.cores import usable_cores
from serving.errors import NotReadyError
from serving.logs import fault_of
from serving.metrics import Metrics
from serving.scheduler import Scheduler
from serving.settings import Settings, SettingsError
from serving.wire import PredictResponse, Versions, answer

State = Literal["starting", "ready", "draining", "failed"]
PredictorLoader = Callable[[], Predictor]
LOG = logging.getLogger("signalbox.service")

WARM_UP_POSTS = (
    Post(text="where do I track my parcel?"),
    Post(text="still waiting. " * 200, platform="x", author=Author(followers=12, bio="walks, mostly")),
)
"""One short and one of several windows, so that every path of the model has run before the first caller comes."""
_WARM_UP_ROUNDS = 3
"""The first run of a graph allocates; by the third a post takes its usual time (docs/operations.md, "Start")."""


@dataclass(frozen=True, slots=True)
class Running:
    """What is there once a model answers."""

    predictor: Predictor
    scheduler: Scheduler
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


def warm_up(predictor: Predictor) -> float:
    """Seconds that a short post takes once the model is warm; every path to an answer has then run.

    Raises:
        ValueError: when what the model gives cannot be said in an answer, such as a score that is no number.
    """
    for _ in range(_WARM_UP_ROUNDS):
        answers(predictor, WARM_UP_POSTS, predictor.predict(WARM_UP_POSTS))
    start = perf_counter()
    predictor.predict(WARM_UP_POSTS[:1])
    return perf_counter() - start


def answers(predictor: Predictor, posts: Sequence[Post], predictions: Sequence[Prediction]) -> list[PredictResponse]:
    """The answers for posts and what `predictor` made of them, each with an id of its own."""
    policy, versions = predictor.policy, versions_of(predictor)
    return [
        answer(post, prediction, prediction_id=str(ULID()), policy=policy, versions=versions)
        for post, prediction in zip(posts, predictions, strict=True)
    ]


class Service:
    """One model and its state: starting, then ready or failed, then draining. `settled` is set once it is decided."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.state: State = "starting"
        self.failure = ""
        self.settled = Event()
        self._settings = settings
        self._metrics = metrics
        self._running: Running | None = None
        metrics.watch(ready=lambda: self.state == "ready", posts_in_work=lambda: self.posts_in_work)

    @property
    def posts_in_work(self) -> int:
        """Posts accepted and not yet answered."""
        return self._running.scheduler.posts_in_work if self._running else 0

    @property
    def versions(self) -> Versions | None:
        """What is in service, `None` before a model is."""
        return self._running.versions if self._running else None

    def _load(self, load: PredictorLoader) -> Running:
        predictor = load()
        service_s = warm_up(predictor)
        scheduler = Scheduler(
            predictor.predict,
            self._metrics,
            workers=self._settings.workers or usable_cores(),
            queue_posts=self._settings.queue_posts,
            service_s=service_s,
        )
        return Running(predictor, scheduler, versions_of(predictor))

    def _fail(self, error: Exception) -> None:
        explained = isinstance(error, (BundleError, SettingsError))
        self.failure = str(error) if explained else f"The model did not start: {type(error).__name__}."
        LOG.error("start_failed", extra={"fields": {"problem": self.failure, **fault_of(error)}})
        self.state = "failed"

    async def start(self, load: PredictorLoader) -> None:
        """Loads the model on another thread and makes it answer; whatever hinders it ends as `failed`."""
        try:
            self._running = await asyncio.to_thread(self._load, load)
        except Exception as error:  # noqa: BLE001 - whatever it is, the server must say that it has no model
            self._fail(error)
        else:
            self._metrics.set_versions(self._running.versions)
            if self.state == "starting":
                self.state = "ready"
            LOG.info("model_loaded", extra={"fields": self._running.versions.model_dump()})
        self.settled.set()

    def drain(self) -> None:
        """From now on nothing new is accepted; what is in work is answered. Safe in a signal handler: takes no lock."""
        self.state = "draining"

    def close(self) -> None:
        """Ends the worker threads."""
        if self._running:
            self._running.scheduler.close()

    def running(self) -> Running:
        """The model, where it may be asked.

        Raises:
            NotReadyError: while there is none, or it takes no more posts.
        """
        if self._running is not None and self.state == "ready":
            return self._running
        headers = {"Retry-After": "1"}
        if self.state == "draining":
            headers["Connection"] = "close"
        raise NotReadyError(
            f"The request was not accepted: this server is {self.state}. Wanted: one that is ready. Send it again to "
            "another server or after Retry-After seconds, or give the post to an agent.",
            headers=headers,
        )

    async def predict(self, posts: Sequence[Post], *, deadline_s: float) -> list[PredictResponse]:
        """The answers for posts, in order; `deadline_s` is a time of the running loop's clock.

        Raises:
            NotReadyError: when no model may be asked.
            OverloadedError: when the queue has no room.
            DeadlineError: when they are not done in time.
        """
        running = self.running()
        predictions = await running.scheduler.predict(posts, deadline_s=deadline_s)
        for prediction in predictions:
            self._metrics.observe_prediction(prediction)
        return answers(running.predictor, posts, predictions)
