"""Where the journal lies: `SIGNALBOX_JOURNAL` read and checked. Owns that no password of it is ever shown.

SQLAlchemy is not loaded here: a server says that its setting is wrong before it loads anything.
"""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from data.dependencies import needs_group
from serving.settings import SettingsError, variable

OFF = "off"
_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")
_WANTED = f"`{OFF}`, sqlite:///PATH, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


@dataclass(frozen=True, slots=True)
class Address:
    """A database. `url` is SQLAlchemy's and may hold a password; `name` is what may be shown."""

    url: str = field(repr=False)
    name: str
    path: Path | None
    """The file of SQLite, `None` for PostgreSQL."""

    @property
    def begun(self) -> bool:
        """False where there is no file of SQLite: it was not made yet, or is away."""
        return self.path is None or self.path.exists()

    @property
    def file(self) -> tuple[int, int] | None:
        """Which file lies there now, by its device and number (inode); `None` for PostgreSQL.

        One that was removed stays open to whoever had it open, and is nobody else's.

        Raises:
            OSError: when there is none.
        """
        if self.path is None:
            return None
        found = self.path.stat()
        return found.st_dev, found.st_ino


def _refuse(problem: str) -> SettingsError:
    return SettingsError(
        f"The journal cannot be kept: {variable('journal')} (or --journal) {problem}; wanted: {_WANTED}. "
        "Correct it or unset it; docs/operations.md tells more. The value is not shown, since it may hold a password."
    )


def _sqlite(url: str) -> Address:
    path = Path(url.removeprefix(_SQLITE))
    if not path.name or "?" in url or ":memory:" in url:
        raise _refuse("names no file of SQLite")
    return Address(url=url, name=f"SQLite file {path}", path=path)


def _postgresql(url: str) -> Address:
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError:
        raise _refuse("has a host or port that is none") from None
    database = parts.path.removeprefix("/")
    if not database:
        raise _refuse("names no database")
    with needs_group("postgres", "A journal in PostgreSQL"):
        import psycopg  # noqa: F401 - asked for now, so that a server without it does not start
    shown = f"PostgreSQL database {database} at {parts.hostname or 'the local socket'}:{port}"
    return Address(url=f"postgresql+psycopg://{url.partition('://')[2]}", name=shown, path=None)


def read_address(value: str) -> Address | None:
    """The database that a setting names, `None` where it says `off`.

    Raises:
        SettingsError: when it is none of `off`, SQLite or PostgreSQL.
        MissingGroupError: when it is PostgreSQL and its driver is not installed.
    """
    if value == OFF:
        return None
    scheme, separator, _ = value.partition("://")
    if separator and scheme in _POSTGRESQL:
        return _postgresql(value)
    if value.startswith(_SQLITE):
        return _sqlite(value)
    raise _refuse("is no address of a database that is known here")
