"""Posts drawn from the journal with what two times are compared by. Owns that a draw is random, and always the same."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from serving.journal.facets import time_of
from serving.journal.filter import Filter, conditions
from serving.journal.tables import DECISIONS, FACETS


@dataclass(frozen=True, slots=True)
class ReadText:
    """What a model read of a post, and the facets by which two times are compared."""

    prediction_id: str
    text: str
    platform: str
    lang: str
    route: str
    intent: str
    cluster: str | None


def read_texts(connection: Connection, wanted: Filter, *, most: int) -> tuple[ReadText, ...]:
    """At most so many posts, a sample drawn at random from all that are meant, the same at each call."""
    facets = FACETS.c["platform", "lang", "route", "intent", "cluster"]
    joined = FACETS.join(DECISIONS, DECISIONS.c.prediction_id == FACETS.c.prediction_id)
    asked = select(FACETS.c.prediction_id, DECISIONS.c.text, *facets).select_from(joined).where(*conditions(wanted))
    found = connection.execute(asked.order_by(FACETS.c.lot, FACETS.c.prediction_id).limit(most))
    return tuple(ReadText(*row) for row in found)


def first_at(connection: Connection, wanted: Filter) -> datetime | None:
    """When the oldest of them was received, `None` where there is none."""
    asked = select(FACETS.c.at_ms).where(*conditions(wanted)).order_by(FACETS.c.at_ms).limit(1)
    found = connection.execute(asked).scalar()
    return None if found is None else time_of(found)
