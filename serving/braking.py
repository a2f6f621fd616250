"""The crisis brake at work: reads the journal again and again, and says whether a machine may answer.

What the brake is lies in the journal, so all servers agree, and whoever holds it by hand holds it everywhere. Until it
was read once no machine answers, since nobody knows whether it is held; while it cannot be read it stays as it is.
Time of which it did not see all that came is no quiet time: one that took hold by itself begins to wait anew.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import Protocol

from models.policy import Reason
from serving.brake import BOUNDS, RELEASED, Bounds, Brake, Sight, step
from serving.journal.address import read_address
from serving.journal.faults import NotBegunError
from serving.logs import fault_of
from serving.metrics import Metrics
from serving.repeating import Idle, Repeated
from serving.settings import Settings
from serving.wire import BrakeAnswer, BrakeState, JournalAnswer

LOOK_EVERY_S = 5.0
"""A window has 15 minutes; to look costs two counts over it, under 10 ms at 100,000 decisions."""
LOG = logging.getLogger("signalbox.brake")


class BrakeBook(Protocol):
    """What the brake needs of the journal: `serving.journal.brake`, or a fake in tests. Each may raise anything."""

    def last(self) -> Brake:
        """The brake as it was written last."""

    def look(self, at: datetime, bounds: Bounds) -> Sequence[Sight]:
        """What was seen of late."""

    def tell(self, brake: Brake, at: datetime) -> None:
        """Nothing; the brake is written."""

    def close(self) -> None:
        """Nothing; lets go of it."""


class CrisisBrake:
    """The brake of a server, moved on a thread of its own from `start` to `close`. Safe between threads.

    It does what the journal says. Only one that looks `by_itself` takes hold where too much comes in; any lets go of
    what took hold so, since the server that it was may be gone. `complete` says whether all that was decided here since
    it was asked last lies in the journal.
    """

    def __init__(
        self,
        open_book: Callable[[], BrakeBook],
        metrics: Metrics,
        *,
        by_itself: bool = True,
        complete: Callable[[], bool] = lambda: True,
        bounds: Bounds = BOUNDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._open_book = cache(open_book)  # on the brake's own thread: SQLAlchemy takes 0.25 s of CPU
        self._by_itself = by_itself
        self._complete = complete
        self._bounds = bounds
        self._now = now
        self._brake: Brake | None = None
        self._looking = Lock()
        self._saw = False  # what came, at the last look
        self._untold = False  # it holds, which could not be written yet
        self._readable = True
        self._repeated = Repeated(self.look, every_s=LOOK_EVERY_S, name="brake")
        metrics.watch_brake(self.health)

    @property
    def objection(self) -> Reason | None:
        """Why nothing may be answered by a machine, `None` where it may."""
        brake = self._brake
        if brake is None:
            return Reason("brake_not_read", "whether the crisis brake is held was not read yet")
        return Reason("crisis_brake", brake.words) if brake.engaged else None

    def health(self) -> BrakeAnswer:
        """Whether it holds, and why, and whether that can be read."""
        brake = self._brake or RELEASED
        state: BrakeState = "unread" if self._brake is None else "ok" if self._readable else "stale"
        return BrakeAnswer(
            engaged=brake.engaged, since=brake.since, cause=brake.words, state=state, by_itself=self._by_itself
        )

    def look(self) -> None:
        """Nothing; reads and looks now, on the calling thread."""
        try:
            with self._looking:  # whoever pulled it by hand wants it seen at once
                self._look()
        except Exception as error:  # noqa: BLE001 - whatever it is, the brake must stay as it is, and look again
            begun = not isinstance(error, NotBegunError)  # else nothing is wrong yet: the journal makes its file
            if begun and self._readable:
                LOG.error("brake_blind", extra={"fields": fault_of(error)})
            self._readable = not begun
        else:
            self._readable = True

    def _look(self) -> None:
        saw_all, self._saw = self._complete() and self._saw, False
        book, now = self._open_book(), self._now()
        written = book.last()
        before = self._known(written, now)
        self._set(before)  # now, since a hand must be obeyed where the posts cannot be counted, too
        if before.by_hand or not (self._by_itself or before.engaged):
            return
        sights, self._saw = book.look(now, self._bounds), True
        if before.engaged and not saw_all:
            before = replace(before, over_at=now)  # who knows what came meanwhile
        after = step(before, sights, now, self._bounds)
        if after.engaged:
            self._set(after)  # before it is told: a crisis that is seen holds where nothing can be written, too
        if after.engaged != written.engaged:
            self._untold = after.engaged
            book.tell(after, after.since or now)
        self._untold = False
        self._set(after)

    def _known(self, written: Brake, now: datetime) -> Brake:
        """The brake as it is written, with what is known here of it."""
        known = self._brake or RELEASED
        if self._untold and not written.engaged:
            return known
        self._untold = False
        if replace(written, over_at=known.over_at) == known:
            return known
        return replace(written, over_at=now) if written.engaged else RELEASED  # by hand, or by another server

    def _set(self, brake: Brake) -> None:
        before, self._brake = self._brake or RELEASED, brake
        if brake.engaged != before.engaged:
            event = "brake_engaged" if brake.engaged else "brake_released"
            LOG.warning(event, extra={"fields": {"cause": brake.words or before.words}})

    def start(self) -> None:
        """Nothing; it looks at once, and again and again."""
        self._repeated.start()

    def close(self) -> None:
        """Nothing; it looks no more."""
        self._repeated.close()
        if self._open_book.cache_info().currsize:
            self._open_book().close()


class NoBrake(Idle):
    """Never holds: without a journal nobody can have held it, and there is nothing to look at."""

    objection: None = None

    def health(self) -> None:
        """Nothing to say."""


AnyBrake = CrisisBrake | NoBrake


def completeness(health: Callable[[], JournalAnswer]) -> Callable[[], bool]:
    """What says whether a journal wrote all that was decided since it was asked last, but for the last moments."""
    known_dropped = 0

    def complete() -> bool:
        nonlocal known_dropped
        found = health()
        lost, known_dropped = found.dropped > known_dropped, found.dropped
        return found.state == "ok" and not lost

    return complete


def make_brake(settings: Settings, metrics: Metrics, journal: Callable[[], JournalAnswer]) -> AnyBrake:
    """The brake of the journal that the settings name, not yet read; it looks by itself where they say so.

    `journal` says how this server's journal does.

    Raises:
        SettingsError: when they name no journal that is known.
        MissingGroupError: when the driver of its database is not installed.
    """
    address = read_address(settings.journal)
    if address is None:
        return NoBrake()

    def open_book() -> BrakeBook:
        from serving.journal.brake import JournalBook

        return JournalBook(address)

    return CrisisBrake(open_book, metrics, by_itself=settings.brake, complete=completeness(journal))
