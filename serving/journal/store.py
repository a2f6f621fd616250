"""The database of the journal, through SQLAlchemy: opened and migrated, written to, pruned, asked.

Owns every word of SQL. A fault comes out as one of two errors that hold the database's code for it and nothing else:
what SQLAlchemy and the drivers say may quote a statement, its values, or a user's name.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Insert,
    Table,
    create_engine,
    delete,
    event,
    exists,
    inspect,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from serving.journal.address import Address, read_address
from serving.journal.entry import Comparison, Entry
from serving.journal.facets import Clusters, facet_of, ms_of
from serving.journal.faults import EntryRefusedError, StoreDownError
from serving.journal.shadows import shadow_of
from serving.journal.tables import DECISIONS, FACETS, REVIEWS, SCHEMA_VERSION, SHADOWS, Row, row_of
from serving.settings import Settings, SettingsError, variable

_BUSY_S = 5.0
"""How long a writer of SQLite waits for another one: a server, a pruning, a copy being made."""
_PAGE_BYTES = 8_192
"""Of a new SQLite file. A row has some 2.3 KB: one to a page of SQLite's usual 4,096, three to one of these."""
_POSTGRESQL_LIMITS = {"connect_timeout": 5, "tcp_user_timeout": 10_000, "options": "-c statement_timeout=10000"}
"""Seconds, ms and ms, after which a database that does not answer counts as down; the address may say otherwise."""


def _code_of(error: BaseException) -> str:
    """What the database calls a fault (`SQLITE_FULL`, `57P01`), else the kind of the error."""
    cause = getattr(error, "orig", None) or error
    return str(getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or type(cause).__name__)


@contextmanager
def told_apart() -> Iterator[None]:
    """Nothing; a fault within becomes one of the journal's own two."""
    try:
        yield
    except (DataError, IntegrityError, UnicodeError) as error:
        raise EntryRefusedError(_code_of(error)) from None
    except (SQLAlchemyError, OSError) as error:
        raise StoreDownError(_code_of(error)) from None


def _prepare_sqlite(engine: Engine, begin_with: str) -> None:
    """Nothing; every connection of SQLite writes ahead, and every transaction, a migration's too, is a real one."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # else Python begins transactions where it thinks fit, and none for DDL
        connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin_with)


def connect(address: Address, *, readers: int = 0) -> Engine:
    """What connects to a database: one writer at a time, or, where they are asked for, so many `readers`.

    A reader sees one state of the database, however many questions it asks. One of SQLite takes no lock that a writer
    waits for, and cannot write.
    """
    url = make_url(address.url)
    postgresql = {name: value for name, value in _POSTGRESQL_LIMITS.items() if name not in url.query}
    limits: dict[str, Any] = {"timeout": _BUSY_S} if address.path else postgresql
    one_state: dict[str, Any] = {"isolation_level": "REPEATABLE READ"} if readers and not address.path else {}
    engine = create_engine(
        url, hide_parameters=True, connect_args=limits, pool_size=readers or 1, max_overflow=0, **one_state
    )
    if address.path:
        _prepare_sqlite(engine, "BEGIN" if readers else "BEGIN IMMEDIATE")
    return engine


def _version_of(connection: Connection) -> str | None:
    """The migration that a database stands at, `None` for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: Engine) -> None:
    """Nothing; brings a database to the newest schema where it is not there."""
    with engine.begin() as connection:
        if _version_of(connection) != SCHEMA_VERSION:
            # Alembic is 0.1 s of CPU and 6 MB of memory that a start with nothing to migrate does without.
            from serving.journal.schema import upgrade

            upgrade(connection)


def insert_new(bind: Engine | Connection, table: Table, unique: Column[Any] | None = None) -> Insert:
    """The statement that adds rows whose key is not there yet, and leaves alone those whose key is.

    The key is the primary one, or the column `unique`.
    """
    dialect = sqlite if bind.dialect.name == "sqlite" else postgresql
    key = list(table.primary_key) if unique is None else [unique]
    statement: Insert = dialect.insert(table).on_conflict_do_nothing(index_elements=key)
    return statement


def add_row(connection: Connection, table: Table, row: Row, unique: Column[Any] | None = None) -> bool:
    """True where the row is new; one whose key (as `insert_new` has it) is there already stays as it is."""
    # Of an INSERT, PostgreSQL's driver tells SQLAlchemy no number of rows.
    added = insert_new(connection, table, unique).returning(*table.primary_key)
    return connection.execute(added, row).first() is not None


class Store:
    """An open database at the newest schema. For one thread at a time.

    Raises:
        StoreDownError: from every method, when the database cannot do it now.
    """

    def __init__(self, address: Address, engine: Engine) -> None:
        self._address = address
        self._file = address.file
        self._engine = engine
        self._clusters = Clusters()
        self._inserts = [insert_new(engine, table) for table in (DECISIONS, FACETS, SHADOWS)]

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with told_apart():
            # A file that was removed is still open here, and what is written to it is seen by nobody.
            if self._address.file != self._file:
                raise StoreDownError("file_replaced")
            with self._engine.begin() as connection:
                yield connection

    def write(self, entries: Sequence[Entry | Comparison]) -> None:
        """Nothing; all are kept, or none. One that is there already stays as it is.

        Raises:
            EntryRefusedError: when the database will never take one of them.
        """
        decided = [entry for entry in entries if isinstance(entry, Entry)]
        rows = [row_of(entry) for entry in decided]
        facets = [facet_of(entry, self._clusters.of(entry.prediction.rendered.text)) for entry in decided]
        shadows = [shadow_of(each) for each in entries if isinstance(each, Comparison)]
        with self._transaction() as connection:
            for insert, values in zip(self._inserts, (rows, facets, shadows), strict=True):
                if values:
                    connection.execute(insert, values)

    def prune(self, before: datetime, *, most: int) -> int:
        """How many entries received before that time were deleted: the oldest, `most` at the most.

        Of those that somebody has read the facets stay, without their author (docs/workbench.md). What another model
        made of posts goes by itself, as many at the most: it may have come without its decision.
        """
        old = select(DECISIONS.c.prediction_id).where(DECISIONS.c.received_at < before)
        oldest = old.order_by(DECISIONS.c.received_at).limit(most)
        seen = select(SHADOWS.c.prediction_id).where(SHADOWS.c.at_ms < ms_of(before)).order_by(SHADOWS.c.at_ms)
        with self._transaction() as connection:
            shadowed = connection.execute(seen.limit(most)).scalars().all()
            connection.execute(delete(SHADOWS).where(SHADOWS.c.prediction_id.in_(shadowed)))
            ids = connection.execute(oldest).scalars().all()
            theirs = FACETS.c.prediction_id.in_(ids)
            read = exists().where(REVIEWS.c.prediction_id == FACETS.c.prediction_id)
            connection.execute(delete(FACETS).where(theirs, ~read))
            connection.execute(update(FACETS).where(theirs).values(author=None))
            return connection.execute(delete(DECISIONS).where(DECISIONS.c.prediction_id.in_(ids))).rowcount

    def find(self, prediction_id: str) -> Row | None:
        """The row of a prediction, `None` where it was never kept or has been pruned."""
        with self._transaction() as connection:
            found = connection.execute(select(DECISIONS).where(DECISIONS.c.prediction_id == prediction_id))
            row = found.mappings().one_or_none()
            return dict(row) if row else None

    def close(self) -> None:
        """Nothing; lets go of the database."""
        self._engine.dispose()


def open_store(address: Address, *, make: bool = True) -> Store:
    """The database at the newest schema; where there is none, it is made, unless `make` is false.

    Raises:
        StoreDownError: when it cannot be reached or made now, or was written by a later release.
    """
    engine = connect(address)
    try:
        with told_apart():
            if address.path and make:
                address.path.parent.mkdir(parents=True, exist_ok=True)
            elif address.path:
                address.path.stat()
            migrate(engine)
            return Store(address, engine)
    except BaseException:
        engine.dispose()
        raise


@contextmanager
def existing_store(settings: Settings) -> Iterator[Store]:
    """The journal that the settings name, for a command; closed afterwards. None is made.

    Raises:
        SettingsError: when there is none, or it cannot be used.
        MissingGroupError: when the driver of its database is not installed.
    """
    address = read_address(settings.journal)
    if address is None:
        raise SettingsError(
            f"There is no journal: {variable('journal')} is `off`. Wanted: the database that the server wrote to. "
            "Name it with --journal."
        )
    try:
        with closing(open_store(address, make=False)) as store:
            yield store
    except StoreDownError as error:
        raise SettingsError(
            f"The journal cannot be used: {address.name} answers {error.code}. Wanted: a database that a server of "
            f"this release wrote to and that can be reached. Name it with --journal or {variable('journal')}."
        ) from None
