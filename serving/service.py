"""The model in service: loaded, warmed up, asked, drained. Knows nothing of HTTP but the errors it answers with."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from threading import Event
from typing import Literal

from ulid import ULID

from data.post import Post
from models.bundle import BundleError
from models.predictor import Prediction, Predictor
from serving.answers import answer
from serving.cores import usable_cores
from serving.engine import Engine, ServedModel
from serving.errors import NotReadyError
from serving.journal.entry import Caller, entries_of
from serving.journal.journal import AnyJournal
from serving.logs import fault_of
from serving.metrics import Metrics
from serving.settings import Settings, SettingsError
from serving.timing import Timing
from serving.wire import PredictResponse, Versions

State = Literal["starting", "ready", "draining", "failed"]
PredictorLoader = Callable[[], Predictor]
LOG = logging.getLogger("signalbox.service")


def answers(model: ServedModel, posts: Sequence[Post], predictions: Sequence[Prediction]) -> list[PredictResponse]:
    """The answers for posts and what `model` made of them, each with an id of its own."""
    policy, versions = model.predictor.policy, model.versions
    return [
        answer(post, prediction, prediction_id=str(ULID()), policy=policy, versions=versions)
        for post, prediction in zip(posts, predictions, strict=True)
    ]


class Service:
    """One model and its state: starting, then ready or failed, then draining. `settled` is set once it is decided."""

    def __init__(self, settings: Settings, metrics: Metrics, journal: AnyJournal) -> None:
        self.state: State = "starting"
        self.failure = ""
        self.settled = Event()
        self._settings = settings
        self._metrics = metrics
        self._journal = journal
        self._engine = Engine(
            metrics,
            workers=settings.workers or usable_cores(),
            queue_posts=settings.queue_posts,
            cache_posts=settings.cache_posts,
        )
        self._running: ServedModel | None = None
        metrics.watch(ready=lambda: self.state == "ready", posts_in_work=lambda: self.posts_in_work)

    @property
    def posts_in_work(self) -> int:
        """Posts accepted and not yet answered."""
        return self._engine.posts_in_work

    @property
    def versions(self) -> Versions | None:
        """What is in service, `None` before a model is."""
        return self._running.versions if self._running else None

    def _fail(self, error: Exception) -> None:
        explained = isinstance(error, (BundleError, SettingsError))
        self.failure = str(error) if explained else f"The model did not start: {type(error).__name__}."
        LOG.error("start_failed", extra={"fields": {"problem": self.failure, **fault_of(error)}})
        self.state = "failed"

    async def start(self, load: PredictorLoader) -> None:
        """Loads the model on another thread and makes it answer; whatever hinders it ends as `failed`."""
        try:
            self._running = await asyncio.to_thread(lambda: self._engine.warm(load()))
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
        self._engine.close()

    def running(self) -> ServedModel:
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

    def check(self, *, deadline_s: float) -> None:
        """Nothing; where no post would be answered, says so before a body is read for it.

        Raises:
            NotReadyError: when no model may be asked.
            OverloadedError: when not even the shortest post would be done by the deadline.
        """
        self._engine.check(self.running(), deadline_s=deadline_s)

    async def predict(
        self, posts: Sequence[Post], *, deadline_s: float, bulk: bool, caller: Caller, timing: Timing
    ) -> list[PredictResponse]:
        """The answers for posts, in order; `deadline_s` is a time of the running loop's clock.

        Each of them goes into the journal. `timing` is told where the time went.

        Raises:
            NotReadyError: when no model may be asked.
            OverloadedError: when the queue has no room.
            DeadlineError: when they are not done in time.
        """
        model = self.running()
        predictions = await self._engine.predict(model, posts, deadline_s=deadline_s, bulk=bulk, timing=timing)
        for prediction in predictions:
            self._metrics.observe_prediction(prediction)
        made = answers(model, posts, predictions)
        self._journal.append(entries_of(posts, predictions, made, caller=caller, predictor=model.predictor))
        return made
