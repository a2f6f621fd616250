"""What the tests of the journal share: entries, databases that fail when told to, and what is in a file."""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from ulid import ULID

from data.post import Post
from serving.engine import Engine
from serving.journal.address import Address, read_address
from serving.journal.entry import Caller, Comparison, Entry, entries_of
from serving.journal.faults import StoreDownError
from serving.journal.journal import Journal, Kept, Retries, Store
from serving.metrics import Metrics
from serving.service import answers
from tests.fakes import fake_predictor

PREDICTOR = fake_predictor()
MODEL = Engine(Metrics(), workers=1, queue_posts=1).warm(PREDICTOR)
AT_ONCE = Retries(first_s=0.0, most_s=0.0)
JUDGED = PREDICTOR.predict([Post(text="where is my parcel?", id="1059")])


def entry(received_at: datetime | None = None) -> Entry:
    """An entry with an id of its own, for one and the same post."""
    posts = [Post(text="where is my parcel?", id="1059")]
    caller = Caller(str(ULID()), None, received_at or datetime.now(UTC), 0.0)
    (made,) = entries_of(posts, JUDGED, answers(MODEL, posts, JUDGED), caller=caller, predictor=PREDICTOR)
    return made


def ids(entries: Iterable[Kept]) -> list[str]:
    return [each.prediction_id if isinstance(each, Comparison) else each.answer.prediction_id for each in entries]


def address_of(path: Path) -> Address:
    address = read_address(f"sqlite:///{path}")
    assert address is not None
    return address


def kept(path: Path, columns: str = "prediction_id") -> list[Any]:
    """What a file of SQLite holds, in the order in which it was written; one column as plain values."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"SELECT {columns} FROM decisions ORDER BY rowid").fetchall()
    return [row[0] for row in rows] if "," not in columns else rows


class FailingStore:
    """A store over another. `fails` says for each write whether it works, fails, or works and does not say so."""

    def __init__(self, inner: Store, fails: Iterator[str]) -> None:
        self._inner = inner
        self._fails = fails

    def write(self, entries: Sequence[Kept]) -> None:
        how = next(self._fails, "works")
        if how == "before":
            raise StoreDownError("gone")
        self._inner.write(entries)
        if how == "after":
            raise StoreDownError("gone")

    def prune(self, before: datetime, *, most: int) -> int:
        if next(self._fails, "works") != "works":
            raise StoreDownError("gone")
        return self._inner.prune(before, most=most)

    def close(self) -> None:
        self._inner.close()


def make_journal(
    open_store: Callable[[], Store], *, buffer_entries: int = 1_000, retention_days: int = 0, retries: Retries = AT_ONCE
) -> Journal:
    return Journal(open_store, Metrics(), buffer_entries=buffer_entries, retention_days=retention_days, retries=retries)


@contextmanager
def heard(event: str) -> Iterator[Event]:
    """Set once the journal logs that event."""
    said = Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == event:
                said.set()

    logger, listener = logging.getLogger("signalbox.journal"), Listener()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(listener)
    yield said
    logger.removeHandler(listener)
    logger.setLevel(level)
