"""The journal itself: a bounded buffer that answers append to, and one thread that empties it into a database.

Owns that no answer waits: `append` takes a lock for the time of copying a few references. What the database does,
how long it is away, and why, only the writing thread sees; it waits longer after every failure, and begins where it
stopped. What was accepted is never given up while the process lives; what does not fit is dropped and counted.
"""

import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from threading import Condition, Event, Thread
from time import monotonic, perf_counter
from typing import Protocol

from serving.journal.address import read_address
from serving.journal.entry import Comparison, Entry
from serving.journal.faults import EntryRefusedError, JournalError
from serving.logs import fault_of
from serving.memory import keep_for_good
from serving.metrics import Metrics
from serving.settings import Settings
from serving.wire import JournalAnswer, JournalState

LOG = logging.getLogger("signalbox.journal")

BATCH_ENTRIES = 500
"""Entries of one transaction: some 1 MB of rows, written in some 20 ms (docs/decisions/0019)."""
PRUNE_ENTRIES = 1_000
"""Entries deleted in one transaction, so that writing waits for deleting no longer than for a batch."""
PRUNE_EVERY_S = 3_600.0
GATHER_S = 0.1
"""How long the thread lets entries gather after the first one; so a busy server commits ten times a second."""
BEHIND_AFTER_S = 5.0
"""An entry that has waited so long is late: a batch takes a hundredth of it."""


Kept = Entry | Comparison
"""What goes through the buffer."""


class Store(Protocol):
    """What the journal needs of a database: `serving.journal.store.Store`, or a fake in tests."""

    def write(self, entries: Sequence[Kept]) -> None:
        """Nothing; all are kept or none, and one that is there already is no fault."""

    def prune(self, before: datetime, *, most: int) -> int:
        """How many entries received before that time were deleted."""

    def close(self) -> None:
        """Nothing; lets go of the database."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How long to wait after the first failure, and at the most; in between twice as long each time, with jitter."""

    first_s: float = 0.1
    most_s: float = 30.0

    def delay_s(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row (full jitter, as AWS's builders' library has it)."""
        return random.uniform(0.0, min(self.most_s, self.first_s * 2.0 ** min(failures, 30)))


def _count_decisions(batch: Sequence[Kept]) -> int:
    return sum(isinstance(each, Entry) for each in batch)


class Journal:
    """Takes entries, and writes them on a thread of its own from `start` to `close`. `append` works before, too."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        metrics: Metrics,
        *,
        buffer_entries: int,
        retention_days: int,
        retries: Retries = Retries(),
    ) -> None:
        self._open_store = open_store
        self._metrics = metrics
        self._buffer_entries = buffer_entries
        self._retention_days = retention_days
        self._retries = retries
        self._buffer: deque[Kept] = deque()
        self._decisions = 0
        self._changed = Condition()
        self._closing = Event()
        self._give_up_at_s = 0.0
        self._thread = Thread(target=self._run, name="journal", daemon=True)
        self._store: Store | None = None
        self._failures = 0
        self._dropped = 0
        self._waiting_since_s = 0.0
        self._pruning = True
        self._prune_at_s = 0.0
        metrics.watch_journal(self.health)

    def append(self, entries: Sequence[Entry]) -> None:
        """Nothing, at once. Where the buffer is full the newest are dropped: the gap is then one, with two ends."""
        with self._changed:
            kept = self._take(entries, self._buffer_entries - self._decisions)
            self._decisions += kept
        if kept < len(entries):
            self._drop(entries[kept:])

    def compare(self, comparisons: Sequence[Comparison]) -> None:
        """Nothing, at once. There is room for as many of them as for decisions, so no decision is dropped for one."""
        with self._changed:
            kept = self._take(comparisons, self._buffer_entries - (len(self._buffer) - self._decisions))
        if kept < len(comparisons):
            self._drop(comparisons[kept:])

    def _take(self, entries: Sequence[Kept], room: int) -> int:
        """How many were put into the buffer, where there is room for so many. Under the lock."""
        kept = entries[:room]
        if kept and not self._buffer:
            self._waiting_since_s = monotonic()
            self._changed.notify()
        self._buffer.extend(kept)
        return len(kept)

    def _drop(self, lost: Sequence[Kept]) -> None:
        decisions = _count_decisions(lost)
        with self._changed:
            self._dropped += decisions
        self._metrics.observe_journal_dropped(decisions)
        self._metrics.observe_comparisons_dropped(len(lost) - decisions)

    def health(self) -> JournalAnswer:
        """How it does: `down` after a failure, `behind` where entries wait for long or fill half of the buffer."""
        buffered = self._decisions
        late = len(self._buffer) > 0 and monotonic() - self._waiting_since_s > BEHIND_AFTER_S
        crowded = buffered * 2 > self._buffer_entries
        state: JournalState = "down" if self._failures else "behind" if late or crowded else "ok"
        return JournalAnswer(state=state, buffered=buffered, dropped=self._dropped)

    def start(self) -> None:
        """Nothing; from now on the database is opened, migrated and written to."""
        self._thread.start()

    def close(self, within_s: float) -> int:
        """How many entries could not be written in that time. The buffer is emptied as far as the database lets it."""
        with self._changed:
            self._give_up_at_s = monotonic() + within_s
            self._closing.set()
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(within_s)
        left = len(self._buffer)
        if left:
            LOG.error("journal_lost", extra={"fields": {"entries": left}})
        return left

    def _has_work(self) -> bool:
        """True once there is something to do, false when it is time to end. Blocks while there is neither."""
        with self._changed:
            self._changed.wait_for(lambda: self._buffer or self._pruning or self._closing.is_set())
            if not self._closing.is_set():
                return True
            return bool(self._buffer) and monotonic() < self._give_up_at_s

    def _run(self) -> None:
        while self._has_work():
            if len(self._buffer) < BATCH_ENTRIES:
                self._closing.wait(GATHER_S)
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 - whatever it is, the thread must live and try again
                self._fail(error)
                self._pause()
        self._let_go()

    def _step(self) -> None:
        """Nothing; opens the database where it is not open, writes one batch and prunes a little."""
        if self._store is None:
            self._store = self._open_store()
            keep_for_good()  # the database's libraries, which came with it
        store = self._store
        with self._changed:
            batch = list(islice(self._buffer, BATCH_ENTRIES))
        if batch:
            self._write(store, batch)
        self._prune(store)
        if self._failures:
            LOG.info("journal_back", extra={"fields": {"failures": self._failures, "buffered": len(self._buffer)}})
            self._failures = 0

    def _write(self, store: Store, batch: Sequence[Kept]) -> None:
        started = perf_counter()
        try:
            store.write(batch)
        except EntryRefusedError as error:
            if len(batch) > 1:
                for entry in batch:
                    self._write(store, [entry])
                return
            LOG.error("journal_refused", extra={"fields": {"code": error.code}})
            self._forget(1)
            self._drop(batch)
            return
        self._forget(len(batch))
        self._metrics.observe_journal_write(_count_decisions(batch), perf_counter() - started)

    def _forget(self, entries: int) -> None:
        """Nothing; takes the oldest entries out of the buffer, since they are dealt with."""
        with self._changed:
            self._decisions -= _count_decisions([self._buffer.popleft() for _ in range(entries)])
            self._waiting_since_s = monotonic()

    def _prune(self, store: Store) -> None:
        if self._retention_days and monotonic() >= self._prune_at_s:
            self._pruning = True
        if not self._pruning:
            return
        before = datetime.now(UTC) - timedelta(days=self._retention_days)
        deleted = store.prune(before, most=PRUNE_ENTRIES) if self._retention_days else 0
        if deleted < PRUNE_ENTRIES:
            self._pruning = False
            self._prune_at_s = monotonic() + PRUNE_EVERY_S

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        self._metrics.observe_journal_failure()
        if self._failures == 1:
            code = error.code if isinstance(error, JournalError) else None
            LOG.error("journal_down", extra={"fields": {"code": code, **fault_of(error)}})
        self._let_go()

    def _let_go(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with suppress(Exception):  # a database that is gone cannot be closed either
                store.close()

    def _pause(self) -> None:
        """Nothing, after the wait that is due; a stop ends it, and while stopping the first wait is kept."""
        delay_s = self._retries.delay_s(self._failures)
        with self._changed:
            if self._closing.is_set():
                self._changed.wait(min(delay_s, self._retries.first_s))
            else:
                self._changed.wait_for(self._closing.is_set, delay_s)


class NoJournal:
    """Keeps nothing: `SIGNALBOX_JOURNAL=off`."""

    def __init__(self, metrics: Metrics) -> None:
        metrics.watch_journal(self.health)

    def append(self, entries: Sequence[Entry]) -> None:
        """Nothing."""

    def compare(self, comparisons: Sequence[Comparison]) -> None:
        """Nothing."""

    def health(self) -> JournalAnswer:
        """Off."""
        return JournalAnswer(state="off", buffered=0, dropped=0)

    def start(self) -> None:
        """Nothing."""

    def close(self, within_s: float) -> int:  # noqa: ARG002 - the journal's signature
        """None is left."""
        return 0


AnyJournal = Journal | NoJournal


def make_journal(settings: Settings, metrics: Metrics) -> AnyJournal:
    """The journal that the settings name, not yet started.

    Raises:
        SettingsError: when they name none.
        MissingGroupError: when the driver of its database is not installed.
    """
    address = read_address(settings.journal)
    if address is None:
        return NoJournal(metrics)

    def open_it() -> Store:
        # Imported on the writing thread: SQLAlchemy takes 0.25 s of CPU, which no start and no answer waits for.
        from serving.journal.store import open_store

        return open_store(address)

    return Journal(
        open_it,
        metrics,
        buffer_entries=settings.journal_buffer,
        retention_days=settings.journal_retention_days,
    )
