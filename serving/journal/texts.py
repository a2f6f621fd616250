"""Posts drawn from the journal: with what two times are compared by, or with all that a policy decides by.

Owns that a draw is random, and always the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic_core import from_json
from sqlalchemy import Connection, select

from data.taxonomy import Route
from models.policy import Facts
from serving.journal.filter import Filter, conditions
from serving.journal.tables import DECISIONS, FACETS, FACTS


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


@dataclass(frozen=True, slots=True)
class ScoredPost:
    """A decision with all that a policy needs to decide it anew; `text` is masked."""

    prediction_id: str
    text: str
    routes: dict[Route, float]
    intents: dict[str, float]
    facts: Facts


def read_texts(connection: Connection, wanted: Filter, *, most: int) -> tuple[ReadText, ...]:
    """At most so many posts, a sample drawn at random from all that are meant, the same at each call."""
    facets = FACETS.c["platform", "lang", "route", "intent", "cluster"]
    joined = FACETS.join(DECISIONS, DECISIONS.c.prediction_id == FACETS.c.prediction_id)
    asked = select(FACETS.c.prediction_id, DECISIONS.c.text, *facets).select_from(joined).where(*conditions(wanted))
    found = connection.execute(asked.order_by(FACETS.c.lot, FACETS.c.prediction_id).limit(most))
    return tuple(ReadText(*row) for row in found)


def draw_posts(connection: Connection, wanted: Filter, *, most: int) -> tuple[str, ...]:
    """The prediction ids of at most so many decisions, a sample drawn at random from all that are meant.

    The same at each call. Of some the text may be deleted.
    """
    # By a sum, so that they are found by their time and then sorted: by the index of lots all of the journal is read.
    drawn = select(FACETS.c.prediction_id).where(*conditions(wanted)).order_by(FACETS.c.lot + 0, FACETS.c.prediction_id)
    return tuple(connection.execute(drawn.limit(most)).scalars())


def scored_posts(connection: Connection, prediction_ids: Sequence[str]) -> tuple[ScoredPost, ...]:
    """The decisions that are named, in the order of their ids and without those whose text is deleted."""
    columns = DECISIONS.c["prediction_id", "text", "routes", "intents", "facts"]
    asked = select(*columns).where(DECISIONS.c.prediction_id.in_(prediction_ids))
    found = connection.execute(asked.order_by(DECISIONS.c.prediction_id))
    return tuple(
        ScoredPost(prediction_id, text, from_json(routes), from_json(intents), FACTS.validate_json(facts))
        for prediction_id, text, routes, intents, facts in found
    )
