"""A round: what the cockpit shows of this moment, as filled parts of its page. Owns the rhythm of everything on it.

Every piece of work is one turn of the pages' own thread, so that no page waits for a whole round.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from logging import getLogger
from typing import TypeVar

from sqlalchemy import Connection
from starlette.exceptions import HTTPException

from data.rejects import SourceError
from serving.errors import NotReadyError
from serving.journal.brake import brake_events
from serving.journal.filter import Filter
from serving.journal.queries import FollowUps, follow_ups
from serving.logs import fault_of
from serving.workbench.cockpit import charts
from serving.workbench.cockpit.broadcast import RoundError
from serving.workbench.cockpit.drifting import DriftReport, DriftWatch
from serving.workbench.cockpit.figures import ACTIONS, Figures, figures_of
from serving.workbench.cockpit.kept import Kept
from serving.workbench.cockpit.ledger import SPANS, Ledger, Span
from serving.workbench.cockpit.surges import Alike, Surges, find_alike, find_surges
from serving.workbench.confusion.scorings import Scored, Scorings
from serving.workbench.confusion.sources import Shelf
from serving.workbench.thresholds.openings import keys_of
from serving.workbench.visits import Desk

LOG = getLogger("signalbox.workbench")
Found = TypeVar("Found")
PARTS = "cockpit-parts.html.j2"
"""Its blocks are the parts that change."""
EVENTS_SHOWN = 10
SURGES_EVERY = timedelta(minutes=1)
FOLLOW_UPS_EVERY = timedelta(minutes=5)
DRIFT_EVERY = timedelta(minutes=30)
"""It is about a week of posts; half an hour more or less says nothing new."""
COMES_BACK = timedelta(days=1)
"""Within which a post of the same author counts as a follow-up."""
ANSWERS_SPAN = timedelta(days=7)
_FAULT = (
    "There are no figures just now, through a fault of the server. Wanted: figures. They are asked for again in some "
    "seconds; the server's log has the event qa_cockpit_failed."
)


@dataclass(frozen=True, slots=True)
class Unusual:
    """What is out of the ordinary."""

    surges: Surges
    alike: tuple[Alike, ...]


def _find_unusual(connection: Connection, now: datetime) -> Unusual:
    return Unusual(find_surges(connection, now), find_alike(connection, now))


def _follow_ups(connection: Connection, now: datetime) -> FollowUps:
    """Of a week of answers whose authors have all had a day to come back."""
    until = now - COMES_BACK
    return follow_ups(connection, Filter(since=until - ANSWERS_SPAN, until=until), within=COMES_BACK)


class Rounds:
    """Makes the parts of the pages that are asked for: each a span of time."""

    def __init__(self, desk: Desk, shelf: Shelf, scorings: Scorings) -> None:
        self._desk = desk
        self._shelf = shelf
        self._scorings = scorings
        self._ledgers = {
            step_s: Ledger(*(span for span in SPANS.values() if span.step_s == step_s))
            for step_s in {span.step_s for span in SPANS.values()}
        }
        self._drift_watch = DriftWatch()
        self._unusual: Kept[Unusual] = Kept(self._ask(_find_unusual), SURGES_EVERY)
        self._follow_ups: Kept[FollowUps] = Kept(self._ask(_follow_ups), FOLLOW_UPS_EVERY)
        self._drift: Kept[DriftReport] = Kept(self._look_for_drift, DRIFT_EVERY)
        self._one_piece_at_a_time = asyncio.Lock()
        self._is_prepared = False

    def _ask(self, question: Callable[[Connection, datetime], Found]) -> Callable[[datetime], Awaitable[Found]]:
        return lambda now: self._desk.read(lambda connection: question(connection, now))

    async def make(self, spans: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        """The parts of the page of each span, after what was due to be looked at was looked at.

        Raises:
            RoundError: when there are none now.
        """
        now = datetime.now(UTC)
        try:
            for kept in (self._unusual, self._follow_ups, self._drift):
                await kept.refresh(now)
            return {span: await self.parts(span) for span in spans}
        except HTTPException as error:
            raise RoundError(error.detail) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, who watches must be told, and the next round come
            LOG.error("qa_cockpit_failed", extra={"fields": fault_of(error)})
            raise RoundError(_FAULT) from None

    async def parts(self, span: str) -> Mapping[str, str]:
        """The parts of one page with what was looked at last.

        Raises:
            HTTPException: 503 when the journal cannot be asked.
        """
        now = datetime.now(UTC)
        for name in {"hour", span}:
            await self._count(SPANS[name], now)
        return await self._desk.read(partial(self._fill, span=SPANS[span], now=now))

    async def prepare(self) -> None:
        """Nothing; once, every span is counted, so that who chooses one after the first page has it at once."""
        if not self._is_prepared:
            self._is_prepared = True
            with suppress(HTTPException):  # the page of that span says why there is nothing
                for span in SPANS.values():
                    await self._count(span, datetime.now(UTC))

    async def _count(self, span: Span, now: datetime) -> None:
        """Nothing; what is due in the ledger of a span was read; who needs the same pieces shares them."""
        ledger = self._ledgers[span.step_s]
        due = ledger.due(span, now)
        while True:
            async with self._one_piece_at_a_time:
                steps = next(due, None)
                if steps is None:
                    return
                await self._desk.read(partial(ledger.read, steps=steps))

    def _figures(self, span: Span, now: datetime) -> Figures:
        return figures_of(span, now, self._ledgers[span.step_s].bars(span, now))

    def _fill(self, connection: Connection, span: Span, now: datetime) -> Mapping[str, str]:
        """The parts, from what was counted: one turn of the thread, since between two a page may wait for others."""
        figures, hour = self._figures(span, now), self._figures(SPANS["hour"], now)
        has_posts = bool(figures.total.posts)
        unusual, bars = self._unusual.value, figures.bars
        return self._desk.pages.parts(
            PARTS,
            figures=figures,
            hour=hour,
            actions=ACTIONS,
            clock=charts.clock,
            routes_picture=charts.by_route(bars, span) if has_posts else None,
            actions_picture=charts.by_action(bars, span) if has_posts else None,
            shares_picture=charts.shares(bars, span) if has_posts else None,
            latency_picture=charts.latency(figures.total) if has_posts else None,
            hours_picture=charts.last_hours(unusual.surges.hours) if unusual and unusual.surges.hours else None,
            brake=self._desk.bench.brake.health(),
            events=brake_events(connection, most=EVENTS_SHOWN),
            unusual=unusual,
            unusual_at=self._unusual.made_at,
            follow_ups=self._follow_ups.value,
            follow_ups_at=self._follow_ups.made_at,
            keeps_authors=self._desk.bench.settings.author_key is not None,
            drift=self._drift.value,
            drift_at=self._drift.made_at,
        )

    def _scored(self, model_version: str) -> Scored | None:
        """The held-out posts that the desk has scored with this model: those that prove, else those that choose."""
        try:
            found = [self._scorings.find(key) for key in reversed(keys_of(self._shelf))]
        except SourceError:  # the files have gone since
            return None
        done = [each.result for each in found if each is not None and each.result is not None]
        return next((each for each in done if each.model_version == model_version), None)

    async def _look_for_drift(self, now: datetime) -> DriftReport:
        try:
            model = self._desk.bench.service.lineup().champion.versions.model
        except NotReadyError as error:
            return DriftReport(missing=error.detail)
        scored, watch = self._scored(model), self._drift_watch
        await self._desk.read(partial(watch.read_now, model_version=model, at=now))
        await self._desk.read(partial(watch.read_then, model_version=model, at=now, scored=scored))
        return await self._desk.worker.aside.run_in_turns(watch.compare_in_steps())
