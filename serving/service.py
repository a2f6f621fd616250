"""The models in service: started, asked, drained. Knows nothing of HTTP but the errors it answers with."""

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
from serving.journal.entry import Caller, Lane, comparisons_of, entries_of
from serving.journal.journal import AnyJournal
from serving.lineup import Lineup, Part
from serving.logs import fault_of
from serving.memory import keep_for_good
from serving.metrics import Metrics
from serving.rules import Rules
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


async def _answered(
    parts: Sequence[Part], posts: Sequence[Post], predicted: Sequence[Sequence[Prediction]]
) -> dict[int, PredictResponse]:
    """The answers by the places of their posts. The loop is given back after each: a batch must not hold up others."""
    answered: dict[int, PredictResponse] = {}
    for part, predictions in zip(parts, predicted, strict=True):
        for place, prediction in zip(part.places, predictions, strict=True):
            if answered:
                await asyncio.sleep(0)
            (answered[place],) = answers(part.model, [posts[place]], [prediction])
    return answered


class Service:
    """The lineup and its state: starting, then ready or failed, then draining. `settled` is set once it is decided."""

    def __init__(self, settings: Settings, metrics: Metrics, journal: AnyJournal, rules: Rules) -> None:
        self.state: State = "starting"
        self.failure = ""
        self.settled = Event()
        self._metrics = metrics
        self._journal = journal
        self._rules = rules
        self._author_key = settings.author_key
        self.engine = Engine(
            metrics,
            workers=settings.workers or usable_cores(),
            queue_posts=settings.queue_posts,
            cache_posts=settings.cache_posts,
        )
        self._lineup: Lineup | None = None
        metrics.watch(ready=lambda: self.state == "ready", posts_in_work=lambda: self.posts_in_work)

    @property
    def posts_in_work(self) -> int:
        """Posts accepted and not yet answered."""
        return self.engine.posts_in_work

    @property
    def versions(self) -> Versions | None:
        """What is in service, `None` before a model is."""
        return self._lineup.champion.versions if self._lineup else None

    def change(self, lineup: Lineup) -> None:
        """Puts a lineup in service, for every request that begins from now on. On the event loop's thread alone."""
        self._lineup = lineup
        self._metrics.set_versions(lineup.versions)

    def _fail(self, error: Exception) -> None:
        explained = isinstance(error, (BundleError, SettingsError))
        self.failure = str(error) if explained else f"The model did not start: {type(error).__name__}."
        LOG.error("start_failed", extra={"fields": {"problem": self.failure, **fault_of(error)}})
        self.state = "failed"

    async def start(self, load: PredictorLoader) -> None:
        """Loads the model on another thread and makes it answer; whatever hinders it ends as `failed`."""
        try:
            champion = await asyncio.to_thread(lambda: self.engine.warm(load()))
        except Exception as error:  # noqa: BLE001 - whatever it is, the server must say that it has no model
            self._fail(error)
        else:
            self.change(Lineup(champion))
            keep_for_good()
            if self.state == "starting":
                self.state = "ready"
            LOG.info("model_loaded", extra={"fields": champion.versions.model_dump()})
        self.settled.set()

    def drain(self) -> None:
        """From now on nothing new is accepted; what is in work is answered. Safe in a signal handler: takes no lock."""
        self.state = "draining"

    def close(self) -> None:
        """Ends the worker threads."""
        self.engine.close()

    def lineup(self) -> Lineup:
        """The models, where they may be asked.

        Raises:
            NotReadyError: while there is none, or it takes no more posts.
        """
        if self._lineup is not None and self.state == "ready":
            return self._lineup
        headers = {"Retry-After": "1"}
        if self.state == "draining":
            headers["Connection"] = "close"
        raise NotReadyError(
            f"The request was not accepted: this server is {self.state}. Wanted: one that is ready. Send it again to "
            "another server or after Retry-After seconds, or give the post to an agent.",
            headers=headers,
        )

    def running(self) -> ServedModel:
        """The champion, where it may be asked.

        Raises:
            NotReadyError: while there is none, or it takes no more posts.
        """
        return self.lineup().champion

    def check(self, *, deadline_s: float) -> None:
        """Nothing; where no post would be answered, says so before a body is read for it.

        Raises:
            NotReadyError: when no model may be asked.
            OverloadedError: when a post would not be done by the deadline, as `Engine.check` has it.
        """
        self.engine.check(self.running(), deadline_s=deadline_s)

    async def predict(
        self,
        posts: Sequence[Post],
        *,
        deadline_s: float,
        bulk: bool,
        caller: Caller,
        timing: Timing,
        mixed: bool = True,
        version: str | None = None,
    ) -> list[PredictResponse]:
        """The answers for posts, in order; `deadline_s` is a time of the running loop's clock.

        Each is one model's alone and names its versions. Where they may be `mixed`, a batch may hold those of champion
        and canary; the model `version` answers all of them where it answers any. Each goes into the journal.
        `timing` is told where the time went; of two models, where that of the slower did.

        Raises:
            NotReadyError: when no model may be asked.
            OverloadedError: when the queue has no room.
            DeadlineError: when they are not done in time.
        """
        known = self._rules.known  # asked before the lineup, whose policy may be changed by what is read
        lineup = self.lineup()
        parts = lineup.split(posts, mixed=mixed, version=version)
        found = await self._predict(parts, posts, deadline_s=deadline_s, bulk=bulk, timing=timing)
        predicted = [
            self._obeyed(part.model, predictions, known=known) for part, predictions in zip(parts, found, strict=True)
        ]
        answered = await _answered(parts, posts, predicted)
        for part, predictions in zip(parts, predicted, strict=True):  # without a pause: all are on record, or none
            its_posts, given = [posts[place] for place in part.places], [answered[place] for place in part.places]
            lane: Lane = "canary" if part.canary else "live"
            self._journal.append(
                entries_of(
                    its_posts,
                    predictions,
                    given,
                    caller=caller,
                    predictor=part.model.predictor,
                    lane=lane,
                    author_key=self._author_key,
                )
            )
            self._count(lineup, part, its_posts, predictions, given, caller=caller)
        return [answered[place] for place in range(len(posts))]

    def _obeyed(self, model: ServedModel, predictions: Sequence[Prediction], *, known: bool) -> list[Prediction]:
        return [self._rules.obey(each, model.versions.model, known=known) for each in predictions]

    async def _predict(
        self, parts: Sequence[Part], posts: Sequence[Post], *, deadline_s: float, bulk: bool, timing: Timing
    ) -> list[list[Prediction]]:
        """The predictions of each part: of all, or of none."""
        asked = [
            self.engine.predict(
                part.model,
                [posts[place] for place in part.places],
                deadline_s=deadline_s,
                bulk=bulk,
                timing=timing,
            )
            for part in parts
        ]
        if len(asked) == 1:
            return [await asked[0]]
        tasks = [asyncio.ensure_future(each) for each in asked]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    def _count(
        self,
        lineup: Lineup,
        part: Part,
        posts: Sequence[Post],
        predictions: Sequence[Prediction],
        given: Sequence[PredictResponse],
        *,
        caller: Caller,
    ) -> None:
        """Counts what was answered, and counts and keeps what the other model makes of it where there is room."""
        for prediction in predictions:
            self._metrics.observe_prediction(prediction)
        if lineup.challenger is None or part.other is None:
            return
        tally = lineup.challenger.tally
        if part.canary:
            tally.count("answered", len(posts))

        beside, known = part.other, self._rules.known

        def compare(others: Sequence[Prediction]) -> None:
            obeyed = self._obeyed(beside, others, known=known)
            for each, own, other in zip(given, predictions, obeyed, strict=True):
                champion, challenger = (other, own) if part.canary else (own, other)
                tally.compare(each.prediction_id, champion, challenger)
            version = beside.versions.model
            self._journal.compare(
                comparisons_of(given, predictions, obeyed, model_version=version, received_at=caller.received_at)
            )

        if not self.engine.shadow(part.other, posts, compare):
            tally.count("dropped", len(posts))
