"""Who looked behind the mask of which post, when and why.

The journal itself has nothing to show: it keeps no raw text.
"""

from dataclasses import dataclass, field, fields
from datetime import datetime

from sqlalchemy import Connection, insert, select

from serving.journal.reviews import masked, new_id, now
from serving.journal.tables import UNMASKINGS


@dataclass(frozen=True, slots=True)
class Unmasking:
    """One look at what a post says unmasked, wherever that is kept. `reader` is the name of a key.

    Raises:
        ValueError: when no reason is given.
    """

    prediction_id: str
    reader: str
    reason: str
    id: str = field(default_factory=new_id)
    at: datetime = field(default_factory=now)

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError("Nothing was unmasked: no reason is given. Wanted: why it must be seen. Write it down.")


def log_unmasking(connection: Connection, unmasking: Unmasking) -> None:
    """Nothing; it is on record."""
    row = {each.name: getattr(unmasking, each.name) for each in fields(Unmasking)}
    connection.execute(insert(UNMASKINGS), row | {"reason": masked(unmasking.reason)})


def unmaskings(connection: Connection, *, most: int = 100) -> tuple[Unmasking, ...]:
    """The newest, the newest first."""
    columns = [UNMASKINGS.c[each.name] for each in fields(Unmasking)]
    found = connection.execute(select(*columns).order_by(UNMASKINGS.c.at.desc(), UNMASKINGS.c.id.desc()).limit(most))
    return tuple(Unmasking(*row) for row in found)
