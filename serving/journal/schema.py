"""The way to the newest schema, by Alembic's migrations. Loaded only where there is a step to take."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from serving.journal.faults import StoreDownError
from serving.journal.tables import SCHEMA_VERSION

MIGRATIONS = Path(__file__).parent / "migrations"


def migrations_on(connection: Connection) -> Config:
    """What Alembic's commands need to migrate the database of a connection, within its transaction."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def upgrade(connection: Connection) -> None:
    """Nothing; takes every step that the database of a connection still lacks.

    Raises:
        StoreDownError: when it is at a step that this release does not know.
    """
    try:
        command.upgrade(migrations_on(connection), SCHEMA_VERSION)
    except CommandError:
        raise StoreDownError("schema_of_another_release") from None
