"""The database of the journal: its schema, its address, and what is said of it when it cannot be used."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect

from data.dependencies import MissingGroupError
from serving.journal.address import read_address
from serving.journal.brake import brake_events, tell_brake
from serving.journal.database import Database
from serving.journal.faults import StoreDownError
from serving.journal.filter import Filter
from serving.journal.queries import counts_by_time, promise
from serving.journal.schema import migrations_on
from serving.journal.store import open_store
from serving.journal.tables import METADATA, SCHEMA_VERSION, row_of
from serving.settings import Settings, SettingsError
from tests.serving.desks import fill
from tests.serving.journals import address_of, entry, ids, kept


@contextmanager
def connected(path: Path) -> Iterator[Connection]:
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def put_on_record(database: Database, cause: str) -> None:
    database.write(tell_brake, "engaged", cause=cause, by="ann")


def seen(database: Database) -> list[str]:
    return [event.cause for event in database.read(brake_events)]


def test_an_empty_database_gets_the_schema_that_the_program_has(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "journal.db"
    open_store(address_of(file)).close()
    with connected(file) as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        assert MigrationContext.configure(connection).get_current_revision() == SCHEMA_VERSION


def test_the_newest_schema_is_the_last_migration(tmp_path: Path) -> None:
    with connected(tmp_path / "journal.db") as connection:
        assert ScriptDirectory.from_config(migrations_on(connection)).get_current_head() == SCHEMA_VERSION


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    entries = [entry(), entry()]
    with closing(open_store(address_of(file))) as store:
        store.write(entries)
    with closing(open_store(address_of(file))) as store:
        assert store.find(ids(entries)[1]) == row_of(entries[1])
    assert kept(file) == ids(entries)


def test_every_migration_can_be_taken_back_and_again(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    open_store(address_of(file)).close()
    with connected(file) as connection:
        command.downgrade(migrations_on(connection), "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
    entries = [entry()]
    with closing(open_store(address_of(file))) as store:
        store.write(entries)
    assert kept(file) == ids(entries)


def test_what_an_earlier_release_kept_is_there_after_the_next_step(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    entries = [entry(), entry()]
    with closing(open_store(address_of(file))) as store:
        store.write(entries)
    with connected(file) as connection:
        command.downgrade(migrations_on(connection), "0001")
    with closing(open_store(address_of(file))) as store:
        assert [store.find(each.answer.prediction_id) for each in entries] == [row_of(each) for each in entries]
    with connected(file) as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_what_was_decided_before_there_were_facets_is_found_and_counted(tmp_path: Path) -> None:
    address = address_of(tmp_path / "journal.db")
    with closing(fill(address)) as desk:
        before = desk.read(counts_by_time, Filter()), desk.read(promise, Filter())
    with connected(tmp_path / "journal.db") as connection:
        command.downgrade(migrations_on(connection), "0002")
    with closing(Database(address)) as desk:
        assert (desk.read(counts_by_time, Filter()), desk.read(promise, Filter())) == before


def test_a_schema_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    with closing(open_store(address_of(file))) as store:
        store.write([entry()])
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreDownError, match="schema_of_another_release"):
        open_store(address_of(file))
    assert len(kept(file)) == 1


def test_a_migration_that_breaks_off_leaves_the_database_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "journal.db"
    with monkeypatch.context() as patched:
        patched.setattr("alembic.op.create_index", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            open_store(address_of(file))
    with connected(file) as connection:
        assert inspect(connection).get_table_names() == []
    open_store(address_of(file)).close()


def test_what_is_written_twice_is_there_once_and_as_it_was_first(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    entries = [entry(), entry()]
    with closing(open_store(address_of(file))) as store:
        store.write(entries[:1])
        store.write(entries)
    assert kept(file) == ids(entries)


def test_a_file_of_sqlite_writes_ahead(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    open_store(address_of(file)).close()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA page_size").fetchone() == (8192,)


def test_of_a_file_that_was_replaced_the_new_one_is_read_and_written(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    with closing(Database(address_of(file))) as desk, closing(Database(address_of(file))) as other:
        put_on_record(desk, "of the old file")
        assert seen(other) == ["of the old file"]
        for each in list(tmp_path.iterdir()):
            each.unlink()
        open_store(address_of(file)).close()
        assert (seen(desk), seen(other)) == ([], [])
        put_on_record(desk, "of the new file")
        assert seen(other) == ["of the new file"]


def test_a_file_that_was_there_and_is_gone_is_a_fault_and_is_not_made_anew_by_asking(tmp_path: Path) -> None:
    here, away = tmp_path / "journal", tmp_path / "away"
    with closing(Database(address_of(here / "journal.db"))) as desk:
        put_on_record(desk, "wrong prices")
        here.rename(away)
        for _ in range(2):
            with pytest.raises(StoreDownError, match="FileNotFoundError"):
                seen(desk)
            with pytest.raises(StoreDownError, match="FileNotFoundError"):
                put_on_record(desk, "again")
        assert not here.exists()
        here.write_bytes(b"")
        with pytest.raises(StoreDownError, match="NotADirectoryError"):
            seen(desk)
        here.unlink()
        away.rename(here)
        assert seen(desk) == ["wrong prices"]


def test_a_file_that_is_no_database_is_told_by_its_code(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    file.write_text("the diary of a traveller " * 500)
    with pytest.raises(StoreDownError, match=r"^SQLITE_NOTADB$"):
        open_store(address_of(file))


# The address


def test_off_is_no_address() -> None:
    assert read_address("off") is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "is no address of a database that is known here"),
        ("on", "is no address of a database that is known here"),
        ("journal.db", "is no address of a database that is known here"),
        ("mysql://bob:hunter2@db/journal", "is no address of a database that is known here"),
        ("hunter2://db/journal", "is no address of a database that is known here"),
        ("sqlite://", "is no address of a database that is known here"),
        ("sqlite:///", "names no file of SQLite"),
        ("sqlite:///:memory:", "names no file of SQLite"),
        ("sqlite:///journal.db?mode=hunter2", "names no file of SQLite"),
        ("postgresql://bob:hunter2@db:port/journal", "has a host or port that is none"),
        ("postgresql://bob:hunter2@[db/journal", "has a host or port that is none"),
        ("postgresql://bob:hunter2@db", "names no database"),
    ],
)
def test_an_address_that_is_none_is_refused_without_being_shown(value: str, problem: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_address(value)
    assert str(refused.value) == (
        f"The journal cannot be kept: SIGNALBOX_JOURNAL (or --journal) {problem}; wanted: `off`, sqlite:///PATH, or "
        "postgresql://USER:PASSWORD@HOST:PORT/DATABASE. Correct it or unset it; docs/operations.md tells more. The "
        "value is not shown, since it may hold a password."
    )


def test_a_database_without_its_driver_is_answered_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingGroupError) as missing:
        read_address("postgresql://bob:hunter2@db/journal")
    assert str(missing.value) == (
        "A journal in PostgreSQL needs `psycopg`, which is not installed here. It belongs to the group `postgres`. "
        "Install it: pip install --group postgres -c constraints.txt"
    )


def test_a_password_is_neither_in_what_an_address_shows_nor_in_what_settings_show() -> None:
    pytest.importorskip("psycopg", reason="the group postgres is not installed")
    value = "postgresql://bob:hunter2@db.example:5433/journal"
    address = read_address(value)
    assert address is not None
    assert address.name == "PostgreSQL database journal at db.example:5433"
    assert "hunter2" not in repr(address) + repr(Settings(journal=value)) + str(Settings(journal=value))
