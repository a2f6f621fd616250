"""The crisis brake at work: looks at the journal again and again, and says whether a machine may answer.

While the journal cannot be read, the brake stays as it is. What it is lies in the journal, so all servers agree.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import Protocol

from serving.brake import BOUNDS, RELEASED, Bounds, Brake, Sight, step
from serving.journal.address import read_address
from serving.logs import fault_of
from serving.metrics import Metrics
from serving.repeating import Repeated
from serving.settings import Settings
from serving.wire import BrakeAnswer

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
    """The brake of a server, moved on a thread of its own from `start` to `close`. Safe between threads."""

    def __init__(
        self,
        open_book: Callable[[], BrakeBook],
        metrics: Metrics,
        *,
        bounds: Bounds = BOUNDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._open_book = cache(open_book)  # on the brake's own thread: SQLAlchemy takes 0.25 s of CPU
        self._bounds = bounds
        self._now = now
        self._brake = RELEASED
        self._looking = Lock()
        self._readable = True
        self._repeated = Repeated(self.look, every_s=LOOK_EVERY_S, name="brake")
        metrics.watch_brake(lambda: self._brake.engaged)

    @property
    def objection(self) -> str | None:
        """Why nothing may be answered by a machine, `None` where it may."""
        return self._brake.words if self._brake.engaged else None

    def health(self) -> BrakeAnswer:
        """Whether it holds, and why."""
        brake = self._brake
        return BrakeAnswer(engaged=brake.engaged, since=brake.since, cause=brake.words)

    def look(self) -> None:
        """Nothing; looks now, on the calling thread."""
        try:
            with self._looking:  # whoever pulled it by hand wants it seen at once
                self._look()
        except Exception as error:  # noqa: BLE001 - whatever it is, the brake must stay as it is, and look again
            if self._readable:
                LOG.error("brake_blind", extra={"fields": fault_of(error)})
            self._readable = False
        else:
            self._readable = True

    def _look(self) -> None:
        book, now = self._open_book(), self._now()
        written = book.last()
        before = self._brake
        if replace(written, over_at=before.over_at) != before:  # by hand, or by another server
            before = replace(written, over_at=now) if written.engaged else RELEASED
        after = step(before, book.look(now, self._bounds), now, self._bounds)
        if after.engaged != before.engaged:
            book.tell(after, now)
        if after.engaged != self._brake.engaged:
            event = "brake_engaged" if after.engaged else "brake_released"
            LOG.warning(event, extra={"fields": {"cause": after.words or before.words}})
        self._brake = after

    def start(self) -> None:
        """Nothing; it looks at once, and again and again."""
        self._repeated.start()

    def close(self) -> None:
        """Nothing; it looks no more."""
        self._repeated.close()
        if self._open_book.cache_info().currsize:
            self._open_book().close()


class NoBrake:
    """Never holds: `SIGNALBOX_BRAKE` is off, or there is no journal to look at."""

    objection: None = None

    def health(self) -> None:
        """Nothing to say."""

    def look(self) -> None:
        """Nothing."""

    def start(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


AnyBrake = CrisisBrake | NoBrake


def make_brake(settings: Settings, metrics: Metrics) -> AnyBrake:
    """The brake that the settings ask for, not yet looking.

    Raises:
        SettingsError: when they name no journal that is known.
        MissingGroupError: when the driver of its database is not installed.
    """
    address = read_address(settings.journal)
    if address is None or not settings.brake:
        return NoBrake()

    def open_book() -> BrakeBook:
        from serving.journal.brake import JournalBook

        return JournalBook(address)

    return CrisisBrake(open_book, metrics)
