"""What the crisis brake sees of the journal, and what became of it: one row each time that it took hold or let go.

The last row is the truth for all servers of a journal, but for one thing: what a person holds, only a person lets go.
So nothing that a server writes at the same moment can undo what somebody did.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, Connection, func, insert, select

from serving.brake import RELEASED, Bounds, Brake, Sight
from serving.journal.address import Address
from serving.journal.database import Database
from serving.journal.facets import ms_of
from serving.journal.reviews import masked, now
from serving.journal.tables import BRAKE_EVENTS, FACETS

Event = Literal["engaged", "released"]
BY_ITSELF = "the brake"
MOST_CHARACTERS = 500
"""Of a reason: it stands in every answer while the brake holds."""
WEEKS = 4
"""How many weeks back the same hour is looked at."""
_MOST_CLUSTERS = 5
_WEEK = timedelta(days=7)


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


def _between(since: datetime, until: datetime) -> tuple[ColumnElement[bool], ...]:
    return FACETS.c.at_ms >= ms_of(since), FACETS.c.at_ms < ms_of(until), FACETS.c.lane.in_(("live", "canary"))


def _sensitive(connection: Connection, since: datetime, until: datetime) -> int:
    asked = select(func.count()).where(FACETS.c.route == "sensitive", *_between(since, until))
    return connection.execute(asked).scalar_one()


def _clusters(connection: Connection, since: datetime, until: datetime, *only: ColumnElement[bool]) -> dict[str, int]:
    posts = func.count().label("posts")
    asked = select(FACETS.c.cluster, posts).where(FACETS.c.cluster.is_not(None), *_between(since, until), *only)
    found = connection.execute(asked.group_by(FACETS.c.cluster).order_by(posts.desc()).limit(_MOST_CLUSTERS))
    return {row[0]: row[1] for row in found}


def look_back(connection: Connection, at: datetime, bounds: Bounds) -> tuple[Sight, ...]:
    """What came within the window before that time, and is enough to ask whether it is usual.

    Usual is the mean of the same window of the four weeks before, of those in which the journal has posts; where there
    are none, nothing is. What came before the brake was last let go by hand is not looked at again.
    """
    since = at - bounds.window
    for last in brake_events(connection, most=1):
        if last.event == "released" and last.by != BY_ITSELF:
            since = max(since, last.at)
    came = _clusters(connection, since, at)
    clusters = {name: posts for name, posts in came.items() if posts >= bounds.least_cluster_posts}
    sensitive = _sensitive(connection, since, at)
    if not clusters and sensitive < bounds.least_sensitive_posts:
        return ()
    weeks = _weeks_before(connection, since, at)
    usual = _mean([_sensitive(connection, *week) for week in weeks])
    before = [_clusters(connection, *week, FACETS.c.cluster.in_(clusters)) for week in weeks]
    sights = [Sight("sensitive posts", sensitive, usual, bounds.least_sensitive_posts)]
    for name, posts in clusters.items():
        what = f"posts that say nearly the same (cluster {name})"
        sights.append(Sight(what, posts, _mean([each.get(name, 0) for each in before]), bounds.least_cluster_posts))
    return tuple(sights)


def _weeks_before(connection: Connection, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    """The same span of the four weeks before, of those in which there are posts."""
    spans = [(since - week * _WEEK, until - week * _WEEK) for week in range(1, WEEKS + 1)]
    one = select(FACETS.c.at_ms).limit(1)
    return [span for span in spans if connection.execute(one.where(*_between(*span))).first()]


def _mean(counts: Sequence[int]) -> float:
    """The mean, 0 of none."""
    return sum(counts) / max(1, len(counts))


class JournalBook:
    """The journal as the brake's book (`serving.braking.BrakeBook`)."""

    def __init__(self, address: Address) -> None:
        self._file = address.path
        self._database = Database(address)

    @property
    def _begun(self) -> bool:
        """False while there is no file: the journal's own thread makes it, and nobody has held or sent anything."""
        return self._file is None or self._file.exists()

    def last(self) -> Brake:
        """The brake as it was written last."""
        return self._database.read(standing_brake) if self._begun else RELEASED

    def look(self, at: datetime, bounds: Bounds) -> Sequence[Sight]:
        """What came of late."""
        return self._database.read(look_back, at, bounds) if self._begun else ()

    def tell(self, brake: Brake, at: datetime) -> None:
        """Nothing; the brake is written."""
        event: Event = "engaged" if brake.engaged else "released"
        self._database.write(tell_brake, event, cause=brake.cause, by=BY_ITSELF, at=at)

    def close(self) -> None:
        """Nothing; lets go of the database."""
        self._database.close()
