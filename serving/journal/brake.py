"""What the crisis brake sees of the journal, and what became of it: one row each time that it took hold or let go.

The last row is the truth for all servers of a journal, but for one thing: what a person holds, only a person lets go.
So nothing that a server writes at the same moment can undo what somebody did.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, Connection, func, insert, select

from serving.brake import RELEASED, Bounds, Brake, Sight, look
from serving.journal.address import Address
from serving.journal.database import Database
from serving.journal.facets import ms_of
from serving.journal.filter import Filter
from serving.journal.queries import first_at
from serving.journal.reviews import masked, now
from serving.journal.tables import BRAKE_EVENTS, FACETS

Event = Literal["engaged", "released"]
BY_ITSELF = "the brake"
MOST_CHARACTERS = 500
"""Of a reason: it stands in every answer while the brake holds."""
_MOST_CLUSTERS = 5


@dataclass(frozen=True, slots=True)
class BrakeEvent:
    """The brake took hold, or let go: why, and by whom."""

    event: Event
    cause: str
    by: str
    at: datetime


def tell_brake(connection: Connection, event: Event, *, cause: str, by: str, at: datetime | None = None) -> None:
    """Nothing; it is on record, and every server follows."""
    row = {"event": event, "cause": masked(cause), "by": by, "at": at or now()}
    connection.execute(insert(BRAKE_EVENTS), row)


class BrakeStepError(ValueError):
    """The brake was not moved by hand. `str()` says why, in words to show."""


def move_brake(connection: Connection, event: Event, *, why: str, by: str) -> None:
    """Nothing; somebody holds the brake, or lets it go, and every server follows. Held so, it lets go by hand alone.

    Raises:
        BrakeStepError: when there is no reason, or it is so already.
    """
    standing, reason = standing_brake(connection), why.strip()
    what = f"The crisis brake was not {'held' if event == 'engaged' else 'let go'}"
    if not 0 < len(reason) <= MOST_CHARACTERS or by == BY_ITSELF:
        raise BrakeStepError(
            f"{what}: the reason has {len(reason)} characters and the name is {by!r}. Wanted: 1 to {MOST_CHARACTERS} "
            "characters that say why, and a person's name; both are kept. Correct them."
        )
    if event == "engaged" and standing.by_hand:
        raise BrakeStepError(f"{what}: somebody holds it since {standing.since:%Y-%m-%d %H:%M} UTC. Let it go first.")
    if event == "released" and not standing.engaged:
        raise BrakeStepError(f"{what}: it does not hold. Nothing is to be done.")
    tell_brake(connection, event, cause=reason, by=by)


def standing_brake(connection: Connection) -> Brake:
    """The brake as it was written last; what was last held by hand is held still, whatever came after it."""
    columns = BRAKE_EVENTS.c["event", "cause", "at"]
    newest = select(*columns).order_by(BRAKE_EVENTS.c.place.desc()).limit(1)
    by_hand = connection.execute(newest.where(BRAKE_EVENTS.c.by != BY_ITSELF)).one_or_none()
    if by_hand is not None and by_hand.event == "engaged":
        return Brake(by_hand.at, by_hand.cause, by_hand=True)
    last = connection.execute(newest).one_or_none()
    return Brake(last.at, last.cause) if last is not None and last.event == "engaged" else RELEASED


def brake_events(connection: Connection, *, most: int = 100) -> tuple[BrakeEvent, ...]:
    """The newest, the newest first."""
    columns = BRAKE_EVENTS.c["event", "cause", "by", "at"]
    found = connection.execute(select(*columns).order_by(BRAKE_EVENTS.c.place.desc()).limit(most))
    return tuple(BrakeEvent(*row) for row in found)


class JournalCounts:
    """The decisions of a journal as the brake counts them (`serving.brake.Counts`), those of shadows left out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def began(self) -> datetime | None:
        """When the first of all came."""
        return first_at(self._connection, Filter())

    def any(self, since: datetime, until: datetime) -> bool:
        """Whether any came."""
        return (
            self._connection.execute(select(FACETS.c.at_ms).where(*_between(since, until)).limit(1)).first() is not None
        )

    def sensitive(self, since: datetime, until: datetime) -> int:
        """How many sensitive ones came."""
        asked = select(func.count()).where(FACETS.c.route == "sensitive", *_between(since, until))
        return self._connection.execute(asked).scalar_one()

    def clusters(self, since: datetime, until: datetime, only: Collection[str] | None = None) -> Mapping[str, int]:
        """How many came of the five largest clusters, or of `only` those."""
        posts = func.count().label("posts")
        wanted = FACETS.c.cluster.is_not(None) if only is None else FACETS.c.cluster.in_(only)
        asked = select(FACETS.c.cluster, posts).where(wanted, *_between(since, until)).group_by(FACETS.c.cluster)
        if only is None:
            asked = asked.order_by(posts.desc()).limit(_MOST_CLUSTERS)
        return {row[0]: row[1] for row in self._connection.execute(asked)}


def _between(since: datetime, until: datetime) -> tuple[ColumnElement[bool], ...]:
    return FACETS.c.at_ms >= ms_of(since), FACETS.c.at_ms < ms_of(until), FACETS.c.lane.in_(("live", "canary"))


def look_back(connection: Connection, at: datetime, bounds: Bounds) -> tuple[Sight, ...]:
    """What came within the window before that time, and is enough to ask whether it is usual.

    What came before the brake was last let go by hand is not looked at again.
    """
    last = next(iter(brake_events(connection, most=1)), None)
    by_hand = last is not None and last.event == "released" and last.by != BY_ITSELF
    return look(JournalCounts(connection), at, bounds, since=last.at if last and by_hand else None)


class JournalBook:
    """The journal as the brake's book (`serving.braking.BrakeBook`), which makes none where there is none."""

    def __init__(self, address: Address) -> None:
        self._database = Database(address, make=False)

    def last(self) -> Brake:
        """The brake as it was written last."""
        return self._database.read(standing_brake)

    def look(self, at: datetime, bounds: Bounds) -> Sequence[Sight]:
        """What came of late."""
        return self._database.read(look_back, at, bounds)

    def tell(self, brake: Brake, at: datetime) -> None:
        """Nothing; the brake is written."""
        event: Event = "engaged" if brake.engaged else "released"
        self._database.write(tell_brake, event, cause=brake.cause, by=BY_ITSELF, at=at)

    def close(self) -> None:
        """Nothing; lets go of the database."""
        self._database.close()
