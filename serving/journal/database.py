"""The journal's database for everybody but the thread that writes decisions: questions and what people have to say.

Owns that a question holds up no writer, and that a fault comes out as `StoreDownError` alone. Opened when first asked,
and anew where the file of SQLite is another than before.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine

from serving.journal.address import Address, read_address
from serving.journal.faults import EntryRefusedError, NotBegunError, StoreDownError
from serving.journal.store import connect, existing_store, migrate, told_apart
from serving.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """Runs functions of a connection, each in a transaction. Safe between threads; never for the event loop's.

    Where there is no file of SQLite one is made, unless `make` is false. One that was there is not made anew.

    Raises:
        NotBegunError: from both, when there is no file yet and none is made.
        StoreDownError: from both, when the database cannot do it now.
        EntryRefusedError: from both, when it never will, as it is asked.
    """

    def __init__(self, address: Address, *, make: bool = True) -> None:
        self._address = address
        self._make = make
        self._opening = Lock()
        self._engines: tuple[Engine, Engine] | None = None
        self._file: tuple[int, int] | None = None

    def _opened(self) -> tuple[Engine, Engine]:
        """What reads and what writes, of the file that lies there now. One that was there and is gone is a fault."""
        with self._opening:
            if self._file is not None and self._address.file != self._file:
                self._let_go()
            if self._engines is None:
                self._engines = self._open()
                self._file = self._address.file
            return self._engines

    def _open(self) -> tuple[Engine, Engine]:
        if not self._make and not self._address.begun:
            raise NotBegunError
        if self._address.path:
            self._address.path.parent.mkdir(parents=True, exist_ok=True)
        reader, writer = connect(self._address, readers=4), connect(self._address)
        migrate(writer)
        return reader, writer

    def _let_go(self) -> None:
        for engine in self._engines or ():
            engine.dispose()
        self._engines = None

    def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` makes of a connection; what it writes is not kept."""
        with told_apart(), self._opened()[0].connect() as connection:
            return function(connection, *args, **kwargs)

    def write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` makes of a connection; all that it writes is kept, or, where it raises, nothing."""
        with told_apart(), self._opened()[1].begin() as connection:
            return function(connection, *args, **kwargs)

    def close(self) -> None:
        """Nothing; lets go of the database, which is opened again where it is asked again."""
        with self._opening:
            self._let_go()
            self._file = None


def open_database(settings: Settings) -> Database | None:
    """The database of the journal that the settings name, not yet opened; `None` where the journal is off.

    Raises:
        SettingsError: when they name none.
        MissingGroupError: when its driver is not installed.
    """
    address = read_address(settings.journal)
    return Database(address) if address else None


@contextmanager
def existing_database(settings: Settings) -> Iterator[Database]:
    """The journal that the settings name, for a command; closed afterwards. None is made.

    Raises:
        SettingsError: when there is none, or it cannot be used.
        MissingGroupError: when the driver of its database is not installed.
    """
    with existing_store(settings):  # says what is wrong with it, in words: now, and while it is worked with
        database = open_database(settings)
        if database is None:
            raise TypeError("A journal that is off was opened.")
        try:
            yield database
        finally:
            database.close()


__all__ = ["Database", "EntryRefusedError", "NotBegunError", "StoreDownError", "existing_database", "open_database"]
