"""What another model made of answered posts: how far apart, kept for no decision's place, and gone with its time."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from data.taxonomy import ROUTES
from serving.journal.entry import Comparison
from serving.journal.faults import EntryRefusedError
from serving.journal.journal import Journal, Kept, Retries
from serving.journal.shadows import total_variation
from serving.journal.store import open_store
from serving.metrics import Metrics
from tests.serving.clients import WAIT_S
from tests.serving.journals import address_of, entry, ids

SHARES = st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4).filter(any)


def comparison(prediction_id: str, received_at: datetime | None = None) -> Comparison:
    sure: dict[Any, float] = {"simple": 1.0, "complex": 0.0, "sensitive": 0.0, "influencer": 0.0}
    other: dict[Any, float] = {"simple": 0.25, "complex": 0.75, "sensitive": 0.0, "influencer": 0.0}
    at = received_at or datetime.now(UTC)
    return Comparison(prediction_id, at, "2026.12.01+new000", "complex", "agent", other, sure)


def shadows(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT prediction_id, route, action, distance FROM shadows ORDER BY rowid"
        ).fetchall()


@given(one=SHARES, other=SHARES)
def test_the_distance_is_the_largest_difference_that_any_set_of_routes_shows(
    one: list[float], other: list[float]
) -> None:
    first, second = (dict(zip(ROUTES, (each / sum(shares) for each in shares), strict=True)) for shares in (one, other))
    distance = total_variation(first, second)
    assert distance == total_variation(second, first)
    more = sum(max(0.0, first[name] - second[name]) for name in ROUTES)
    assert abs(distance - more) < 1e-9
    assert -1e-12 <= distance <= 1 + 1e-9


def test_a_comparison_lies_beside_its_decision_and_twice_is_once(tmp_path: Path) -> None:
    file, decided = tmp_path / "journal.db", entry()
    (prediction_id,) = ids([decided])
    with closing(open_store(address_of(file))) as store:
        store.write([decided, comparison(prediction_id)])
        store.write([comparison(prediction_id)])
    assert shadows(file) == [(prediction_id, "complex", "agent", 0.75)]


def test_what_another_model_made_of_old_posts_is_deleted_with_them_and_without(tmp_path: Path) -> None:
    file, now = tmp_path / "journal.db", datetime.now(UTC)
    old, new = entry(now - timedelta(days=100)), entry(now)
    (first, second), lost = ids([old, new]), "0" * 26
    with closing(open_store(address_of(file))) as store:
        ages = [(first, now - timedelta(days=100)), (second, now), (lost, now - timedelta(days=100))]
        store.write([old, new, *(comparison(prediction_id, at) for prediction_id, at in ages)])
        assert store.prune(now - timedelta(days=90), most=10) == 1
    assert [row[0] for row in shadows(file)] == [second]


class Memory:
    """A store that keeps what it gets in memory, and lets nothing through before it may; refuses what is refused."""

    def __init__(self, refused: str = "") -> None:
        self.open = Event()
        self.ids: list[str] = []
        self._refused = refused

    def write(self, entries: Sequence[Kept]) -> None:
        assert self.open.wait(WAIT_S)
        found = ids(entries)
        if self._refused in found:
            raise EntryRefusedError("never")
        self.ids += found

    def prune(self, before: datetime, *, most: int) -> int:
        return 0

    def close(self) -> None:
        pass


def of(metrics: Metrics, name: str) -> str:
    (line,) = [line for line in metrics.render().decode().splitlines() if line.startswith(f"signalbox_{name} ")]
    return line.partition(" ")[2]


def test_no_decision_is_dropped_for_a_comparison_and_those_that_are_dropped_are_counted() -> None:
    metrics, store = Metrics(), Memory()
    journal = Journal(lambda: store, metrics, buffer_entries=3, retention_days=0, retries=Retries(0.0, 0.0))
    journal.compare([comparison(f"c{n}") for n in range(5)])
    decided = [entry() for _ in range(4)]
    journal.append(decided)
    assert (journal.health().buffered, journal.health().dropped) == (3, 1)
    assert of(metrics, "comparisons_dropped_total") == "2.0"
    store.open.set()
    journal.start()
    assert journal.close(WAIT_S) == 0
    assert store.ids == ["c0", "c1", "c2", *ids(decided[:3])]
    assert (of(metrics, "journal_written_total"), of(metrics, "journal_dropped_total")) == ("3.0", "1.0")


def test_a_comparison_that_the_database_will_never_take_holds_up_no_decision() -> None:
    metrics, store, decided = Metrics(), Memory(refused="bad"), entry()
    journal = Journal(lambda: store, metrics, buffer_entries=9, retention_days=0, retries=Retries(0.0, 0.0))
    journal.compare([comparison("bad")])
    journal.append([decided])
    store.open.set()
    journal.start()
    assert journal.close(WAIT_S) == 0
    assert store.ids == ids([decided])
    assert (of(metrics, "comparisons_dropped_total"), of(metrics, "journal_dropped_total")) == ("1.0", "0.0")
    assert journal.health().buffered == 0
