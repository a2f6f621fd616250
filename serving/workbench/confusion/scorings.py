"""What bundles said of labelled posts: scored once, in pieces, on the thread of the pages, and kept for a while.

A piece is a few posts, so other pages wait for a fraction of a second where somebody has a whole file scored.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from logging import getLogger
from typing import Literal

import numpy as np
import numpy.typing as npt

from data.fingerprint import fingerprint
from data.grouping import group_in_steps
from data.post import LabelledPost
from data.rejects import SourceError
from data.rendering import Rendered
from data.splits import SplitsError
from data.steps import Steps
from evaluation.predictions import Predictions, tabulate
from evaluation.report.cases import Case, cases_of
from evaluation.slices import DIMENSIONS
from evaluation.summary import Summary, summarise
from models.bundle import BundleError
from models.policy import Decision, Facts, Policy
from models.predictor import Predictor, Scores
from serving.errors import NotReadyError
from serving.journal.faults import JournalError
from serving.logs import fault_of
from serving.memory import keep_what_lives
from serving.workbench.confusion.ceiling import Ceiling
from serving.workbench.confusion.sources import Mark, Shelf
from serving.workbench.confusion.spans import ReadPosts
from serving.workbench.confusion.where import Where
from serving.workbench.worker import Worker

LOG = getLogger("signalbox.workbench")
_PIECE_POSTS = 8
"""Some 50 ms of one core at the 7 ms a post of docs/benchmarks.md."""
_KEPT = 6
"""Scorings in memory; one of 9,000 posts takes some 30 MB."""
Key = tuple[str, str]
"""The names of bundle and posts."""
State = Literal["running", "done", "failed"]
Then = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A bundle on labelled posts: probabilities, the policy's decisions as cases `[n]`, and what posts are chosen by.

    `facets` names the slice of each post, `[n]` a dimension; `days` are the days on which they were posted, as
    `2026-11-22`, empty where unknown.
    """

    bundle: str
    posts: str
    model_version: str
    precision: str
    policy: Policy
    predictions: Predictions
    cases: tuple[Case, ...]
    facets: dict[str, npt.NDArray[np.str_]]
    days: npt.NDArray[np.str_]
    fingerprint: str
    ceiling: Ceiling | None
    """How far readers agree, where the posts are of the journal."""
    decisions: tuple[Decision, ...]
    """Of `policy`, `[n]`."""
    summary: Summary
    """The figures of all of them: made with the scores, so that nobody waits for them on a page."""


@dataclass(slots=True, eq=False)
class Scoring:
    """A scoring on its way, done or failed. Changed by the event loop's thread alone."""

    key: Key
    mark: Mark
    """Of the bundle and the posts as they were when it began."""
    state: State = "running"
    done_posts: int = 0
    all_posts: int = 0
    problem: str = ""
    result: Scored | None = None
    reports: "OrderedDict[Where, Summary]" = field(default_factory=OrderedDict)
    """Figures that were computed already."""


def _again(predictor: Predictor, read: Sequence[tuple[Rendered, Facts]]) -> list[Scores]:
    """The scores of what was read of posts earlier, by the bundle that is asked now."""
    found = [predictor.predict_rendered(rendered, facts) for rendered, facts in read]
    return [
        Scores(
            np.array(list(each.routes.values())),
            np.array(list(each.intents.values())),
            each.facts,
            each.tokens,
            each.rendered,
        )
        for each in found
    ]


def _finish_in_steps(
    key: Key, predictor: Predictor, posts: tuple[LabelledPost, ...], scores: list[Scores], ceiling: Ceiling | None
) -> Steps[Scored]:
    grouping = yield from group_in_steps(posts)
    yield
    predictions = tabulate(posts, scores, grouping.numbers, predictor.bundle.taxonomy)
    decisions = predictions.decide(predictor.policy)
    yield
    cases = cases_of(predictions, predictor.policy)
    yield
    summary = summarise(predictions, predictor.policy, decisions)
    yield
    return Scored(
        bundle=key[0],
        posts=key[1],
        model_version=predictor.bundle.manifest.model_version,
        precision=predictor.bundle.manifest.precision,
        policy=predictor.policy,
        predictions=predictions,
        cases=cases,
        facets={name: np.array([slice_of(post) for post in posts]) for name, slice_of in DIMENSIONS.items()},
        days=np.array([post.posted_at.date().isoformat() if post.posted_at else "" for post in posts]),
        fingerprint=fingerprint(posts),
        ceiling=ceiling,
        decisions=tuple(decisions),
        summary=summary,
    )


class Scorings:
    """Scores on request; the least recently used are forgotten."""

    def __init__(self, shelf: Shelf, worker: Worker) -> None:
        self._shelf = shelf
        self._worker = worker
        self._kept: OrderedDict[Key, Scoring] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, key: Key) -> Scoring | None:
        """The scoring of a bundle on posts, `None` where there is none or bundle or files have changed since.

        Raises:
            SourceError: when there are no such posts.
        """
        mark, scoring = self._mark_of(key), self._kept.get(key)
        if scoring is None or scoring.mark != mark:
            return None
        self._kept.move_to_end(key)
        return scoring

    def _mark_of(self, key: Key) -> Mark:
        bundle, posts = key
        return (*self._shelf.mark_of(bundle), *self._shelf.find_set(posts).mark)

    def begin(self, key: Key, *, anew: bool = False, then: Then | None = None) -> Scoring:
        """A scoring that runs from now on, or the one that does already, or, unless `anew`, has.

        One that begins is done once `then` is, which is called when the scores are there.

        Raises:
            SourceError: when there are no such posts.
        """
        known = self.find(key)
        if known is not None and (known.state == "running" or (known.state == "done" and not anew)):
            return known
        scoring = Scoring(key, self._mark_of(key))
        self._kept[key] = scoring
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        task = asyncio.get_running_loop().create_task(self._run(scoring, then))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return scoring

    async def _run(self, scoring: Scoring, then: Then | None) -> None:
        try:
            scoring.result = await self._score(scoring)
            if then is not None:
                await then()
            scoring.state = "done"
        except (SourceError, SplitsError, BundleError, OSError) as error:
            scoring.problem, scoring.state = str(error), "failed"
        except NotReadyError as error:
            scoring.problem, scoring.state = error.detail, "failed"
        except JournalError as error:
            scoring.problem = (
                f"There is no report: the journal answers {error.code}. Wanted: a database that can be asked. Try it "
                "again in a moment; the operator sees the same in the server's log."
            )
            scoring.state = "failed"
        except Exception as error:  # noqa: BLE001 - whatever it was, the page must not wait for it for ever
            LOG.error("qa_scoring_failed", extra={"fields": fault_of(error)})
            scoring.problem = (
                "The posts were not scored, through a fault of the server; nothing was changed. Wanted: a score for "
                "each. Try it again; the server's log has the event qa_scoring_failed."
            )
            scoring.state = "failed"

    async def _score(self, scoring: Scoring) -> Scored:
        bundle, name = scoring.key
        run = self._worker.aside.run
        predictor = await run(self._shelf.load, bundle)
        chosen, in_turns = self._shelf.find_set(name), self._worker.aside.run_in_turns
        material = await in_turns(self._shelf.read_in_steps(chosen, predictor.bundle.taxonomy))
        posts, ceiling = (material.posts, material.ceiling) if isinstance(material, ReadPosts) else (material, None)
        scoring.all_posts = len(posts)
        scores: list[Scores] = []
        for start in range(0, len(posts), _PIECE_POSTS):
            piece = slice(start, start + _PIECE_POSTS)
            if isinstance(material, ReadPosts):
                scores += await run(_again, predictor, material.read[piece])
            else:
                scores += await run(predictor.score, posts[piece])
            scoring.done_posts = len(scores)
        scored = await in_turns(_finish_in_steps(scoring.key, predictor, posts, scores, ceiling))
        await run(keep_what_lives)
        return scored
