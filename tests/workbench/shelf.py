"""Empty journals in one PostgreSQL: migrated once and copied for each test."""

from itertools import count

from sqlalchemy import text

from serving.journal.address import Address, read_address
from serving.journal.store import connect, open_store
from tests.postgres import Cluster

_EMPTY = "empty"


class Shelf:
    """Databases of a cluster, each with a name of its own; all are gone with it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._numbers = count()
        self._make(_EMPTY, "template0")
        open_store(self._address(_EMPTY)).close()

    def _url(self, name: str) -> str:
        return self._cluster.url.rpartition("/")[0] + f"/{name}"

    def _address(self, name: str) -> Address:
        address = read_address(self._url(name))
        assert address is not None
        return address

    def _make(self, name: str, model: str) -> None:
        engine = connect(self._address("postgres")).execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {model}"))
        engine.dispose()

    def fresh(self) -> str:
        """The address of a journal that nobody has written to."""
        name = f"journal{next(self._numbers)}"
        self._make(name, _EMPTY)
        return self._url(name)
