"""The journal in a real PostgreSQL: a cluster of its own on loopback, killed and brought back in the middle."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection
from starlette.testclient import TestClient

from serving.journal.address import Address, read_address
from serving.journal.database import Database
from serving.journal.filter import Filter
from serving.journal.policies import activate_policy, active_policy, approve_policy, propose_policy, roll_back_policy
from serving.journal.queries import counts_by_time, promise
from serving.journal.schema import migrations_on
from serving.journal.store import Store, connect, open_store
from serving.journal.tables import row_of
from tests.fakes import BOLD_POLICY
from tests.postgres import PASSWORD, Cluster, NoPostgresError, running_cluster
from tests.serving.clients import WAIT_S, Serve
from tests.serving.desks import ask_everything, fill
from tests.serving.journals import address_of, entry, heard, ids

pytest.importorskip("psycopg", reason="the group postgres is not installed")


@dataclass(frozen=True, slots=True)
class JournalCluster:
    """A PostgreSQL as a journal's home."""

    server: Cluster

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def address(self) -> Address:
        address = read_address(self.url)
        assert address is not None
        return address

    def start(self) -> None:
        self.server.start()

    def kill(self) -> None:
        self.server.kill()

    def clear(self) -> None:
        """Nothing; the database is as it was at first."""
        with self.connected() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        engine = connect(self.address)
        with engine.begin() as connection:
            yield connection
        engine.dispose()

    def open(self) -> Store:
        return open_store(self.address)


@pytest.fixture(scope="module")
def cluster() -> Iterator[JournalCluster]:
    try:
        with running_cluster() as server:
            yield JournalCluster(server)
    except NoPostgresError as error:
        pytest.skip(str(error))


def test_a_row_comes_back_as_it_went_in(cluster: JournalCluster) -> None:
    entries = [entry(), entry()]
    with closing(cluster.open()) as store:
        store.write(entries[:1])
        store.write(entries)
        for each in entries:
            assert store.find(each.answer.prediction_id) == row_of(each)
        assert store.find("01JD2K7ZC5T8VXN4R3Q9WYHMBA") is None


def test_an_intent_of_the_users_own_may_have_as_long_a_name_as_any(cluster: JournalCluster) -> None:
    made = entry()
    long = replace(made, prediction=replace(made.prediction, intent="i" * 64))
    with closing(cluster.open()) as store:
        store.write([long])
        assert store.find(made.answer.prediction_id) == row_of(long)


def test_old_decisions_are_pruned_a_few_at_a_time(cluster: JournalCluster) -> None:
    before = datetime.now(UTC) - timedelta(days=400)
    old = [entry(before - timedelta(days=days)) for days in range(1, 6)]
    with closing(cluster.open()) as store:
        store.write(old)
        assert [store.prune(before, most=3) for _ in range(3)] == [3, 2, 0]
        assert [store.find(each) for each in ids(old)] == [None] * 5


def test_a_caller_who_sends_what_postgresql_cannot_keep_loses_nothing(serve: Serve, cluster: JournalCluster) -> None:
    with serve(journal=cluster.url) as client:
        answer = client.post("/v1/predict", json={"id": "a\0b", "text": "thanks"})
    with closing(cluster.open()) as store:
        row = store.find(answer.json()["prediction_id"])
    assert row is not None
    assert row["post_id"] == "a\ufffdb"
    assert row["answer"].encode() == answer.content


def test_a_database_that_is_killed_and_brought_back_has_everything_once(serve: Serve, cluster: JournalCluster) -> None:
    def ask(client: TestClient) -> list[str]:
        answer = client.post("/v1/predict/batch", json={"posts": [{"text": f"thanks {n}"} for n in range(40)]})
        assert answer.status_code == 200
        return [each["prediction_id"] for each in answer.json()["results"]]

    asked: list[str] = []
    with heard("journal_down") as down, heard("journal_back") as back, serve(journal=cluster.url) as client:
        asked += ask(client)
        cluster.kill()
        asked += ask(client)
        assert down.wait(WAIT_S)
        asked += ask(client)
        health = client.get("/readyz")
        assert (health.status_code, health.json()["journal"]["state"]) == (200, "down")
        assert PASSWORD not in health.text + client.get("/metrics").text
        cluster.start()
        assert back.wait(WAIT_S)
        asked += ask(client)
    with closing(cluster.open()) as store:
        assert [store.find(each) is not None for each in asked] == [True] * len(asked)


def test_a_wrong_password_is_an_outage_that_does_not_say_the_password(
    serve: Serve, cluster: JournalCluster, caplog: pytest.LogCaptureFixture
) -> None:
    url = cluster.url.replace(PASSWORD, "sesame")
    with heard("journal_down") as down, serve(journal=url, journal_flush_ms=0) as client:
        assert down.wait(WAIT_S)
        assert client.post("/v1/predict", json={"text": "thanks"}).status_code == 200
    said = "\n".join(record.getMessage() + str(record.__dict__) for record in caplog.records)
    assert "journal_down" in said
    assert "sesame" not in said


def test_every_question_of_the_workbench_is_answered_as_by_sqlite(cluster: JournalCluster, tmp_path: Path) -> None:
    cluster.clear()
    with closing(fill(cluster.address)) as one, closing(fill(address_of(tmp_path / "journal.db"))) as other:
        asked, expected = ask_everything(one), ask_everything(other)
    for question, answer in expected.items():
        assert asked[question] == answer, question


def test_policies_take_their_steps(cluster: JournalCluster) -> None:
    policy = BOLD_POLICY.model_copy(update={"version": "8", "inventory": ()})
    with closing(Database(cluster.address)) as desk:
        policy_id = desk.write(
            propose_policy, policy, base=BOLD_POLICY, model_version="m1", author="ann", reason="a trial"
        )
        desk.write(approve_policy, policy_id, by="bob")
        desk.write(activate_policy, policy_id, by="bob")
        active = desk.read(active_policy)
        assert active is not None
        assert active.policy == policy
        assert desk.write(roll_back_policy, by="ann", reason="the trial is over") is None


def test_what_was_decided_before_there_were_facets_is_found_and_counted(cluster: JournalCluster) -> None:
    cluster.clear()
    with closing(fill(cluster.address)) as desk:
        before = desk.read(counts_by_time, Filter()), desk.read(promise, Filter())
        desk.close()
        with cluster.connected() as connection:
            command.downgrade(migrations_on(connection), "0002")
        assert (desk.read(counts_by_time, Filter()), desk.read(promise, Filter())) == before
