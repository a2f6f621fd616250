"""The journal: nothing lost, nothing twice, nothing slow, whatever the database does."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from threading import Event, Semaphore
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from serving.app import create_app
from serving.auth import hash_key
from serving.journal.entry import Entry
from serving.journal.faults import EntryRefusedError, StoreDownError
from serving.journal.journal import BATCH_ENTRIES, PRUNE_ENTRIES, Kept, Retries
from serving.journal.store import open_store
from serving.settings import Settings
from tests.serving.clients import PATIENT_MS, WAIT_S, MakePredictor, Serve, read_rules
from tests.serving.journals import FailingStore, address_of, entry, heard, ids, kept, make_journal

FLUSH_S = WAIT_S
POST = {
    "id": "1059",
    "text": "where is my parcel? call me on 07911 123456, I am @tobes, mail tobes@example.com",
    "author": {"handle": "@tobes_secret", "followers": 212, "bio": "leeds, 07911 123456"},
    "posted_at": "2026-11-22T09:00:00+02:00",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "var" / "journal.db"


@pytest.fixture
def options(file: Path) -> dict[str, Any]:
    return {"journal": f"sqlite:///{file}", "journal_flush_ms": 20_000}


def metrics_of(client: TestClient) -> dict[str, float]:
    """The journal's own metrics, without the buckets."""
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            if sample.name.startswith("signalbox_journal_") and not sample.name.endswith("_bucket"):
                found[sample.name.removeprefix("signalbox_journal_") + sample.labels.get("state", "")] = sample.value
    return found


# What is kept


def test_a_decision_is_kept_as_it_was_answered(serve: Serve, file: Path, options: dict[str, Any]) -> None:
    with serve(**options) as client:
        answer = client.post("/v1/predict", json=POST, headers={"X-Request-ID": "req-1"})
    ((said, request_id, post_id, lane, model, sha, latency_ms),) = kept(
        file, "answer, request_id, post_id, lane, model_version, model_sha256, latency_ms"
    )
    assert said.encode() == answer.content
    assert (request_id, post_id, lane, model, sha) == ("req-1", "1059", "live", "2026.11.22+fake00", "f" * 64)
    assert 0 < latency_ms < PATIENT_MS


def test_what_people_select_by_is_what_was_answered(serve: Serve, file: Path, options: dict[str, Any]) -> None:
    with serve(**options) as client:
        answer = client.post("/v1/predict", json=POST).json()
    columns = "route, intent, action, queue, abstained, move_to_private, truncated, policy_version"
    decision = answer["decision"]
    assert kept(file, columns) == [
        (
            answer["route"]["label"],
            answer["intent"]["label"],
            decision["action"],
            decision["queue"],
            decision["abstained"],
            decision["move_to_private"],
            answer["truncated"],
            answer["versions"]["policy"],
        )
    ]
    ((routes, intents),) = kept(file, "routes, intents")
    assert {name: round(value, 6) for name, value in json.loads(routes).items()} == answer["route"]["probabilities"]
    assert sum(json.loads(intents).values()) == pytest.approx(1.0)


def test_no_personal_data_and_no_handle_gets_into_any_file_of_the_journal(
    serve: Serve, file: Path, options: dict[str, Any]
) -> None:
    with serve(**options) as client:
        client.post("/v1/predict", json=POST)
        until_written(client, 1)
        content = b"".join(path.read_bytes() for path in file.parent.iterdir())
    content += file.read_bytes()
    assert b"where is my parcel? call me on [phone], I am @user, mail [email]" in content
    assert b"bio: leeds, [phone]" in content
    for secret in (b"07911", b"tobes", b"example.com"):
        assert secret not in content


def test_every_post_of_a_batch_is_kept_in_order(serve: Serve, file: Path, options: dict[str, Any]) -> None:
    with serve(**options) as client:
        answer = client.post("/v1/predict/batch", json={"posts": [{"text": f"thanks {n}"} for n in range(20)]}).json()
    assert kept(file) == [each["prediction_id"] for each in answer["results"]]
    assert len(set(kept(file, "request_id"))) == 1


def test_the_name_of_the_key_is_kept_and_the_key_is_not(
    serve: Serve, file: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [{"name": "crm", "sha256": hash_key("sbx_secret"), "scopes": ["predict"]}]}))
    with serve(api_keys_file=keys, **options) as client:
        assert client.post("/v1/predict", json=POST, headers={"X-API-Key": "sbx_secret"}).status_code == 200
    assert kept(file, "key_name") == ["crm"]
    assert b"sbx_secret" not in file.read_bytes()


@pytest.mark.parametrize("post_id", ["a\0b", "\0", "\u202eabc", "\U0001f642", "x" * 200])
def test_whatever_a_caller_calls_a_post_its_decision_is_kept(
    post_id: str, serve: Serve, file: Path, options: dict[str, Any]
) -> None:
    with serve(**options) as client:
        answer = client.post("/v1/predict", json={"id": post_id, "text": "thanks"})
    assert kept(file, "post_id") == [post_id.replace("\0", "\ufffd")]
    assert json.loads(kept(file, "answer")[0])["id"] == post_id == answer.json()["id"]


def test_what_was_refused_is_not_in_the_journal(serve: Serve, file: Path, options: dict[str, Any]) -> None:
    with serve(**options) as client:
        assert client.post("/v1/predict", json={"text": ""}).status_code == 422
        client.post("/v1/predict", json={"text": "thanks"})
    assert len(kept(file)) == 1


def test_a_server_without_a_journal_says_so_and_writes_nothing(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with serve(journal="off") as client:
        client.post("/v1/predict", json=POST)
        assert client.get("/readyz").json() == {
            "status": "ready",
            "journal": {"state": "off", "buffered": 0, "dropped": 0},
            "rules": {"state": "off", "rules": 0},
            "brake": None,
            "risk": None,
        }
        assert metrics_of(client)["stateoff"] == 1
    assert not list(tmp_path.iterdir())


def test_a_second_start_goes_on_in_the_same_file(serve: Serve, file: Path, options: dict[str, Any]) -> None:
    for _ in range(2):
        with serve(**options) as client:
            client.post("/v1/predict", json={"text": "thanks"})
    assert len(kept(file)) == 2


# What the database does


@contextmanager
def limited_disk() -> Iterator[dict[str, int]]:
    """A disk that every database opened within finds full at `pages` pages."""
    limit = {"pages": 1_000_000}

    def connect(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={limit['pages']}")

    event.listen(Engine, "connect", connect)
    try:
        yield limit
    finally:
        event.remove(Engine, "connect", connect)


def test_a_full_disk_changes_no_answer_and_all_is_written_once_there_is_room(
    serve: Serve, file: Path, options: dict[str, Any]
) -> None:
    def ask(client: TestClient) -> list[str]:
        answers = client.post("/v1/predict/batch", json={"posts": [{"text": f"thanks {n}"} for n in range(100)]})
        assert answers.status_code == 200
        assert {each["decision"]["action"] for each in answers.json()["results"]} == {"auto_answer"}
        return [each["prediction_id"] for each in answers.json()["results"]]

    open_store(address_of(file)).close()  # without a file nobody knows what is forbidden, and no machine answers
    with limited_disk() as limit, heard("journal_down") as down, heard("journal_back") as back:
        limit["pages"] = 20
        with serve(**options) as client:
            read_rules(client)
            asked = ask(client)
            assert down.wait(WAIT_S)
            asked += ask(client)
            health = client.get("/readyz")
            assert (health.status_code, health.json()["status"]) == (200, "ready")
            assert health.json()["journal"] == {"state": "down", "buffered": 200, "dropped": 0}
            limit["pages"] = 1_000_000
            assert back.wait(WAIT_S)
            found = metrics_of(client)
    assert kept(file) == asked
    assert found["written_total"] + found["buffered"] + found["dropped_total"] == len(asked)
    assert found["failures_total"] >= 1
    assert found["dropped_total"] == 0


def test_a_journal_that_cannot_be_made_keeps_nobody_from_an_answer(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file where the directory should be")
    with (
        heard("journal_down") as down,
        heard("journal_lost") as lost,
        serve(journal=f"sqlite:///{tmp_path}/var/journal.db", journal_flush_ms=0, journal_buffer=3) as client,
    ):
        assert client.get("/readyz").status_code == 200
        assert down.wait(WAIT_S)
        assert [client.post("/v1/predict", json={"text": "thanks"}).status_code for _ in range(5)] == [200] * 5
        assert client.get("/readyz").json()["journal"] == {"state": "down", "buffered": 3, "dropped": 2}
        found = metrics_of(client)
        assert (found["buffered"], found["dropped_total"], found["written_total"]) == (3, 2, 0)
        assert (found["statedown"], found["stateok"]) == (1, 0)
    assert lost.is_set()


def test_a_file_that_is_taken_away_while_serving_is_made_anew(
    serve: Serve, file: Path, options: dict[str, Any]
) -> None:
    with heard("journal_down") as down, heard("journal_back") as back, serve(**options) as client:
        client.post("/v1/predict", json={"text": "thanks"})
        until_written(client, 1)
        for path in file.parent.iterdir():
            path.unlink()
        second = client.post("/v1/predict", json={"text": "thanks"}).json()["prediction_id"]
        assert down.wait(WAIT_S)
        assert back.wait(WAIT_S)
    assert kept(file) == [second]


def until_written(client: TestClient, entries: int) -> None:
    """Returns once the journal has written so many; what it asks for takes a millisecond each time."""
    for _ in range(100_000):
        if metrics_of(client)["written_total"] >= entries:
            return
    pytest.fail("the journal wrote nothing")


# The buffer and its thread


class GatedStore:
    """A database that takes as long as the test likes."""

    def __init__(self) -> None:
        self.entered, self.gate = Event(), Event()
        self.written: list[str] = []

    def write(self, entries: Sequence[Kept]) -> None:
        self.entered.set()
        assert self.gate.wait(WAIT_S)
        self.written += ids(entries)

    def prune(self, before: datetime, *, most: int) -> int:
        return 0

    def close(self) -> None:
        pass


def test_an_answer_never_waits_for_the_database() -> None:
    store = GatedStore()
    journal = make_journal(lambda: store)
    journal.start()
    first, second = [entry()], [entry() for _ in range(50)]
    journal.append(first)
    assert store.entered.wait(WAIT_S)
    journal.append(second)  # the database is in the middle of a write, and nothing here waits for it
    assert journal.health().buffered == 51
    store.gate.set()
    assert journal.close(FLUSH_S) == 0
    assert store.written == ids([*first, *second])


def test_what_comes_before_the_start_is_written_after_it() -> None:
    store = GatedStore()
    store.gate.set()
    journal = make_journal(lambda: store)
    entries = [entry() for _ in range(BATCH_ENTRIES + 3)]
    journal.append(entries)
    journal.start()
    assert journal.close(FLUSH_S) == 0
    assert store.written == ids(entries)


def test_a_full_buffer_drops_the_newest_and_counts_them() -> None:
    store = GatedStore()
    journal = make_journal(lambda: store, buffer_entries=5)
    entries = [entry() for _ in range(8)]
    journal.append(entries[:4])
    journal.append(entries[4:])
    health = journal.health()
    assert (health.state, health.buffered, health.dropped) == ("behind", 5, 3)
    store.gate.set()
    journal.start()
    assert journal.close(FLUSH_S) == 0
    assert store.written == ids(entries[:5])


def test_a_stop_waits_no_longer_than_it_may_and_says_how_many_are_lost(caplog: pytest.LogCaptureFixture) -> None:
    store = GatedStore()
    journal = make_journal(lambda: store)
    journal.start()
    journal.append([entry(), entry()])
    assert store.entered.wait(WAIT_S)
    with caplog.at_level(logging.ERROR, "signalbox.journal"):
        assert journal.close(0.0) == 2
    assert [record.__dict__["fields"] for record in caplog.records] == [{"entries": 2}]
    store.gate.set()


def test_an_entry_that_the_database_will_never_take_holds_up_no_other() -> None:
    entries = [entry() for _ in range(7)]
    bad = {ids(entries)[2], ids(entries)[5]}

    class PickyStore(GatedStore):
        def write(self, entries: Sequence[Kept]) -> None:
            if bad & {*ids(entries)}:
                raise EntryRefusedError("22P05")
            super().write(entries)

    store = PickyStore()
    store.gate.set()
    journal = make_journal(lambda: store)
    journal.append(entries)
    journal.start()
    assert journal.close(FLUSH_S) == 0
    assert store.written == [each for each in ids(entries) if each not in bad]
    assert journal.health().dropped == 2


def test_a_fault_that_nobody_thought_of_ends_nothing() -> None:
    store = GatedStore()
    store.gate.set()
    faults = iter([ZeroDivisionError(), MemoryError()])

    def open_it() -> GatedStore:
        for fault in faults:
            raise fault
        return store

    journal = make_journal(open_it)
    entries = [entry()]
    with heard("journal_back") as back:
        journal.append(entries)
        journal.start()
        assert back.wait(WAIT_S)
    assert journal.close(FLUSH_S) == 0
    assert store.written == ids(entries)


@given(failures=st.integers(1, 10_000))
def test_the_wait_after_a_failure_grows_to_a_limit(failures: int) -> None:
    retries = Retries()
    assert 0.0 <= retries.delay_s(failures) <= min(30.0, 0.1 * 2.0 ** min(failures, 30))


HOW = st.sampled_from(["works", "before", "after"])


@settings(max_examples=30)
@given(bursts=st.lists(st.integers(1, 60), min_size=1, max_size=8), fails=st.lists(HOW, max_size=12))
def test_whatever_fails_nothing_is_lost_nothing_is_twice_and_the_order_stays(
    bursts: list[int], fails: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("journal") / "journal.db"
    how = iter(fails)

    def open_it() -> FailingStore:
        if next(how, "works") == "before":
            raise StoreDownError("gone")
        return FailingStore(open_store(address_of(file)), how)

    journal = make_journal(open_it)
    entries = [[entry() for _ in range(size)] for size in bursts]
    journal.start()
    for burst in entries:
        journal.append(burst)
    assert journal.close(FLUSH_S) == 0
    assert kept(file) == ids(chain.from_iterable(entries))
    assert journal.health().dropped == 0


def test_an_entry_that_waits_for_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    store = GatedStore()
    journal = make_journal(lambda: store)
    journal.start()
    assert journal.health().state == "ok"
    journal.append([entry()])
    assert store.entered.wait(WAIT_S)
    monkeypatch.setattr("serving.journal.journal.BEHIND_AFTER_S", 0.0)
    assert journal.health().state == "behind"
    store.gate.set()
    assert journal.close(FLUSH_S) == 0
    assert journal.health().state == "ok"


# Retention


def aged(days: float) -> Entry:
    return entry(datetime.now(UTC) - timedelta(days=days))


def fill(file: Path, entries: Sequence[Entry]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    store = open_store(address_of(file))
    store.write(entries)
    store.close()


def test_old_decisions_are_deleted_at_the_start_chunk_by_chunk(file: Path) -> None:
    young = [aged(89), aged(0)]
    fill(file, [*(aged(91) for _ in range(PRUNE_ENTRIES + 1)), *young])
    pruned = Event()

    class Watched(FailingStore):
        def prune(self, before: datetime, *, most: int) -> int:
            deleted = super().prune(before, most=most)
            if deleted < most:
                pruned.set()
            return deleted

    journal = make_journal(lambda: Watched(open_store(address_of(file)), iter(())), retention_days=90)
    journal.start()
    assert pruned.wait(WAIT_S)
    journal.close(FLUSH_S)
    assert kept(file) == ids(young)


def test_nothing_is_deleted_where_all_is_to_be_kept(serve: Serve, file: Path, options: dict[str, Any]) -> None:
    old = aged(10_000)
    fill(file, [old])
    with serve(**options, journal_retention_days=0) as client:
        client.post("/v1/predict", json={"text": "thanks"})
    assert kept(file)[0] == ids([old])[0]
    assert len(kept(file)) == 2


def test_a_server_deletes_what_is_older_than_its_retention(serve: Serve, file: Path, options: dict[str, Any]) -> None:
    fill(file, [aged(91)])
    with serve(**options) as client:
        client.post("/v1/predict", json={"text": "thanks"})
        until_written(client, 1)
    assert len(kept(file)) == 1


class PrunedStore(GatedStore):
    """A database that says when it is pruned."""

    def __init__(self) -> None:
        super().__init__()
        self.gate.set()
        self.prunings = Semaphore(0)

    def prune(self, before: datetime, *, most: int) -> int:
        self.prunings.release()
        return 0


@pytest.mark.parametrize(("every_s", "prunings"), [(0.0, 2), (3_600.0, 1)], ids=["an hour later", "within the hour"])
def test_old_decisions_are_deleted_again_once_an_hour_has_passed(
    every_s: float, prunings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.journal.journal.PRUNE_EVERY_S", every_s)
    store = PrunedStore()
    journal = make_journal(lambda: store, retention_days=90)
    journal.start()
    assert store.prunings.acquire(timeout=WAIT_S)
    journal.append([entry()])
    assert journal.close(FLUSH_S) == 0
    assert 1 + sum(store.prunings.acquire(blocking=False) for _ in range(5)) == prunings


def test_the_application_alone_makes_no_journal(make_predictor: MakePredictor, file: Path) -> None:
    create_app(Settings(journal=f"sqlite:///{file}"), make_predictor)
    assert not file.parent.exists()
