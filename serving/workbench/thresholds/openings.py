"""What the threshold desk is opened with: scores of the posts that choose and prove and of the injections that no
policy may close, and a sample of the journal.

Opened once for a bundle and its policy, and kept: a move of a slider then decides no post anew. Opening takes longer
than a page may (0.7 s of one core, and 2 s the first time for a bundle), so nobody waits for all of it.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from data.splits import PartName
from data.steps import Steps
from evaluation.behaviour.capabilities import SHIPPED_CASES, read_cases
from evaluation.behaviour.withstanding import Injections, score_injections_in_steps
from evaluation.predictions import Predictions, join_in_steps
from evaluation.workbench.desk import Desk as Scale
from evaluation.workbench.desk import JournalRow, JournalSample, open_desk_in_steps, read_journal_in_steps, set_budget
from models.policy import Policy
from models.predictor import Predictor
from serving.journal.database import Database
from serving.journal.filter import Filter
from serving.journal.texts import ScoredPost, draw_posts, scored_posts
from serving.memory import keep_what_lives
from serving.workbench.confusion.scorings import Key, Scored
from serving.workbench.confusion.sources import IN_SERVICE, Shelf
from serving.workbench.worker import Worker

CHOOSING: tuple[PartName, PartName] = ("development", "temperature")
PROVING: PartName = "calibration"
"""It proves the thresholds whose path the others chose, as in a run of the training (docs/evaluation.md)."""
Parts = tuple[Scored, Scored, Scored]
"""The scores of the parts that choose and, last, of the one that proves."""
OLD_AFTER_S = 60.0
"""A minute of 5,000 decisions of a day is no visible share of them."""
WAIT_S = 0.1
"""A page is to take 0.3 s at most (issue 5), and has 0.05 s of its own work and a turn to wait for."""
MOST_ROWS = 5_000
"""Of the journal: a share of 10 % is known to within a point, and reading them takes under a second."""
_PIECE_ROWS = 500
"""Some 40 ms of one core."""


@dataclass(frozen=True, slots=True, eq=False)
class _Material:
    """What a scale is made of, whatever policy is in force."""

    parts: Parts
    chosen: Predictions
    injections: Injections


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """A desk with what it was opened with. `days` is how far back the journal's rows reach."""

    scale: Scale
    calibration: Scored
    sample: JournalSample
    rows: tuple[ScoredPost, ...]
    days: int
    in_force: Policy
    read_at_s: float
    """By the monotonic clock."""


def keys_of(shelf: Shelf) -> tuple[Key, ...]:
    """The scorings that a desk needs, empty where the labelled posts have no splits."""
    offered = {each.part: each.name for each in shelf.sets() if each.part}
    return tuple((IN_SERVICE, offered[part]) for part in (*CHOOSING, PROVING) if part in offered)


def rows_in_steps(database: Database, model_version: str, days: int) -> Steps[tuple[ScoredPost, ...]]:
    """A random sample of what that model decided in so many days, some decisions a step."""
    wanted = Filter(since=datetime.now(UTC) - timedelta(days=days), models=(model_version,))
    drawn, rows = database.read(draw_posts, wanted, most=MOST_ROWS), list[ScoredPost]()
    for start in range(0, len(drawn), _PIECE_ROWS):
        yield
        rows += database.read(scored_posts, drawn[start : start + _PIECE_ROWS])
    return tuple(rows)


def _material_in_steps(parts: Parts, predictor: Predictor) -> Steps[_Material]:
    """The material of these scores and of the model that they are of."""
    one, other, _ = parts
    chosen = yield from join_in_steps(one.predictions, other.predictions)
    yield
    injections = yield from score_injections_in_steps(predictor, read_cases(SHIPPED_CASES))
    return _Material(parts, chosen, injections)


def _scale_in_steps(material: _Material, in_force: Policy) -> Steps[Scale]:
    """The scale, ready for a first move."""
    calibration = material.parts[-1].predictions
    scale = yield from open_desk_in_steps(material.chosen, calibration, material.injections, in_force)
    yield
    # What SciPy makes once for the first budget takes longer than all else that a move does.
    set_budget(scale, in_force.budget)
    return scale


def _sampled_in_steps(
    rows: tuple[ScoredPost, ...], scale: Scale
) -> Steps[tuple[tuple[ScoredPost, ...], JournalSample]]:
    """The rows whose intents the scale knows, and what it makes of them."""
    known = set(scale.calibration.taxonomy.names)
    fit = tuple(row for row in rows if set(row.intents) == known)
    yield
    judged = [JournalRow(row.routes, row.intents, row.facts) for row in fit]
    return fit, (yield from read_journal_in_steps(judged, scale))


class Openings:
    """The desk that was opened last: one bundle is in service at a time. Opened in turns, while the page says so.

    Every method is for the event loop's thread.
    """

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._aside = worker.aside
        self._one_at_a_time = asyncio.Lock()
        self._material: _Material | None = None
        self._scale: tuple[Parts, Policy, Scale] | None = None
        self._of: tuple[Parts, Policy] | None = None
        self._kept: dict[int, Opening] = {}
        self._tasks: dict[int, asyncio.Task[Opening]] = {}

    async def ask(self, parts: Parts, predictor: Predictor, days: int, *, anew: bool = False) -> Opening | None:
        """The desk for these scores over the journal's last days; `None` while it is being opened.

        `predictor` is the model that the scores are of, under the policy in force.
        The journal is read once for a span and a policy in force, and `anew`: what was read before stands until then.

        Raises:
            ValueError: when the parts share a post, or one is empty.
            StoreDownError: when the journal cannot be asked.
        """
        task = self._task(parts, predictor, days, anew=anew)
        if task is not None:
            await asyncio.wait({task}, timeout=WAIT_S)
            if task.done():
                return task.result()
        return self._kept.get(days) if self._of == (parts, predictor.policy) else None

    async def open(self, parts: Parts, predictor: Predictor, days: int, *, anew: bool = False) -> Opening:
        """The same, waited for."""
        task = self._task(parts, predictor, days, anew=anew)
        return self._kept[days] if task is None else await asyncio.shield(task)

    def is_old(self, days: int) -> bool:
        """True where the journal's last days were read a while ago."""
        return days in self._kept and monotonic() - self._kept[days].read_at_s > OLD_AFTER_S

    def _task(self, parts: Parts, predictor: Predictor, days: int, *, anew: bool) -> asyncio.Task[Opening] | None:
        """What opens the desk, begun where nothing does; `None` where it is open and to stay as it is."""
        if self._of != (parts, predictor.policy):
            self._of, self._kept, self._tasks = (parts, predictor.policy), {}, {}
        if days in self._kept and not anew:
            return None
        task = self._tasks.get(days)
        if task is None or task.done():
            task = self._tasks[days] = asyncio.get_running_loop().create_task(self._open(parts, predictor, days))
        return task

    async def _open(self, parts: Parts, predictor: Predictor, days: int) -> Opening:
        in_force = predictor.policy
        async with self._one_at_a_time:  # so that what all spans share is made once
            scale = await self._scale_for(parts, predictor)
            rows = await self._aside.run_in_turns(rows_in_steps(self._database, parts[-1].model_version, days))
            fit, sample = await self._aside.run_in_turns(_sampled_in_steps(rows, scale))
            await self._aside.run(keep_what_lives)
        made = Opening(scale, parts[-1], sample, fit, days, in_force, monotonic())
        if self._of == (parts, in_force):  # meanwhile another policy may have come into force
            self._kept[days] = made
        return made

    async def _scale_for(self, parts: Parts, predictor: Predictor) -> Scale:
        """The scale of these scores; its material is made once, whatever policy is in force."""
        if self._material is None or self._material.parts != parts:
            self._material = await self._aside.run_in_turns(_material_in_steps(parts, predictor))
        if self._scale is None or self._scale[:2] != (parts, predictor.policy):
            steps = _scale_in_steps(self._material, predictor.policy)
            self._scale = parts, predictor.policy, await self._aside.run_in_turns(steps)
        return self._scale[-1]
