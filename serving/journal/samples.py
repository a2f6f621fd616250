"""Which posts people look at: the random sample that was read, where models disagree, several choices by turns."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, and_, case, exists, func, literal, or_, select, tuple_

from data.taxonomy import Intent
from serving.journal.facets import time_of
from serving.journal.filter import Filter, conditions
from serving.journal.queries import HOUR_S, KeptPost, read_posts, select_posts, unread
from serving.journal.reviews import labelled, standing
from serving.journal.tables import DECISIONS, FACETS, SHADOWS

_OVER_ALL_LOTS = 2**31


class KeptText(NamedTuple):
    """What the model read of a post, masked, and what was done; `at_ms` is when it came, in ms since 1970 began.

    A tuple, since of thousands that are looked through a few are shown.
    """

    prediction_id: str
    at_ms: int
    action: str
    text: str

    @property
    def received_at(self) -> datetime:
        """The same as a time in UTC."""
        return time_of(self.at_ms)


@dataclass(frozen=True, slots=True)
class Sample:
    """Posts that were drawn at random and read, and those of them that are not what they should be, or not known to."""

    read: int
    wrong: int


def read_sample(connection: Connection, wanted: Filter, *, content: Collection[Intent]) -> Sample:
    """The random sample that was read: in the order `random` all posts before the first that nobody has read.

    A post that was read for another reason counts where the order has come to it, and nowhere else, so that what people
    look for has no part in it. Wrong is what a reader gave another route than simple, what was closed without
    a reply though a reader gave it an intent that is not of `content` (which lose nothing by silence), and what none
    could tell.
    """
    stands = standing()
    read = FACETS.c.prediction_id.in_(select(stands.c.prediction_id))
    first = select(func.min(FACETS.c.lot)).where(*conditions(wanted), ~read).scalar_subquery()
    passed = FACETS.c.lot < func.coalesce(first, literal(_OVER_ALL_LOTS, BigInteger))
    labels = select(stands.c.prediction_id).where(stands.c.verdict == "label")
    other = FACETS.c.prediction_id.in_(labels.where(stands.c.route != "simple"))
    wanting = FACETS.c.prediction_id.in_(labels.where(stands.c.intent.not_in(sorted(content))))
    silent = (FACETS.c.action == "no_reply") & wanting
    untold = FACETS.c.prediction_id.not_in(labelled())
    asked = select(func.count(), func.count().filter(other | silent | untold)).where(*conditions(wanted), passed)
    return Sample(*connection.execute(asked).one())


def next_disagreements(connection: Connection, wanted: Filter, *, reader: str, most: int = 20) -> tuple[KeptPost, ...]:
    """Posts that this reader has not read and of which another model made another route or action, the least alike
    first."""
    differs = (SHADOWS.c.route != FACETS.c.route) | (SHADOWS.c.action != FACETS.c.action)
    its = FACETS.c.prediction_id == SHADOWS.c.prediction_id
    # One after the other down the index of distances, until there are enough: a join would sort them all.
    fits = exists().where(its, differs, *conditions(wanted), unread(reader))
    farthest = (SHADOWS.c.distance.desc(), SHADOWS.c.prediction_id.desc())
    found = select(SHADOWS.c.prediction_id).where(fits).order_by(*farthest).limit(most).subquery()
    asked = select_posts().join(found, found.c.prediction_id == FACETS.c.prediction_id)
    return read_posts(connection, asked.join(SHADOWS, its).order_by(*farthest))


def next_by_turns(
    connection: Connection, wanted: Sequence[Filter], *, reader: str, most: int = 20
) -> tuple[KeptPost, ...]:
    """Posts that this reader has not read, one of each choice by turns; one of several choices is of the first.

    Of each they are a random sample, as `next_to_read` has it.
    """
    if not wanted:
        return ()
    meant = [and_(*conditions(each)) for each in wanted]
    place = case(*((condition, n) for n, condition in enumerate(meant)))
    turn = func.row_number().over(partition_by=place, order_by=(FACETS.c.lot, FACETS.c.prediction_id))
    ranked = select(FACETS.c.prediction_id, place.label("place"), turn.label("turn"))
    found = ranked.where(or_(*meant), unread(reader)).subquery()
    asked = select_posts().join(found, found.c.prediction_id == FACETS.c.prediction_id)
    return read_posts(connection, asked.order_by(found.c.turn, found.c.place).limit(most))


def posts_by_hour(
    connection: Connection, wanted: Filter, names: Sequence[str] | None = None
) -> dict[tuple[str | None, int], int]:
    """How many posts came by cluster and hour since 1970: of the clusters that are named, else of all as `None`."""
    hour = (FACETS.c.at_ms // (HOUR_S * 1_000)).label("hour")
    asked = select(hour, func.count()).where(*conditions(wanted))
    if names is None:
        return {(None, at): posts for at, posts in connection.execute(asked.group_by(hour))}
    found = asked.add_columns(FACETS.c.cluster).where(FACETS.c.cluster.in_(names)).group_by(FACETS.c.cluster, hour)
    return {(name, at): posts for at, posts, name in connection.execute(found)}


def kept_texts(
    connection: Connection, wanted: Filter, *, most: int, before: KeptText | None = None
) -> tuple[KeptText, ...]:
    """The texts of the newest posts, or of those that came before one, the newest first."""
    columns = (FACETS.c.prediction_id, FACETS.c.at_ms, FACETS.c.action, DECISIONS.c.text)
    joined = FACETS.join(DECISIONS, DECISIONS.c.prediction_id == FACETS.c.prediction_id)
    asked = select(*columns).select_from(joined).where(*conditions(wanted))
    if before is not None:
        place = tuple_(literal(before.at_ms, BigInteger), literal(before.prediction_id))
        # The first says nothing new, but SQLite begins there only where it is told.
        asked = asked.where(FACETS.c.at_ms <= before.at_ms, tuple_(FACETS.c.at_ms, FACETS.c.prediction_id) < place)
    found = connection.execute(asked.order_by(FACETS.c.at_ms.desc(), FACETS.c.prediction_id.desc()).limit(most))
    return tuple(KeptText(*row) for row in found)
