"""Labels that people gave instead of the model's, each with the post as the model read it and where it comes from.

A correction keeps its own copy of the masked text, since it is there to be trained on; how long stands in
docs/workbench.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from models.policy import Facts
from serving.journal.reviews import masked, new_id, now
from serving.journal.store import insert_new
from serving.journal.tables import CORRECTIONS, DECISIONS, FACTS


@dataclass(frozen=True, slots=True)
class Correction:
    """The labels that a prediction should have had. `reader` is the name of a key."""

    prediction_id: str
    reader: str
    route: str
    intent: str
    note: str = ""
    id: str = field(default_factory=new_id)
    made_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class CorrectedPost:
    """A correction with its post: the pair of texts that the model read, its facts, and what it had said."""

    correction: Correction
    text: str
    context: str
    facts: Facts
    predicted_route: str
    predicted_intent: str
    model_version: str
    policy_version: str
    taxonomy_version: str


_OWN = tuple(each.name for each in fields(Correction))
_COPIED = ("text", "context", "facts", "model_version", "policy_version", "taxonomy_version")


def add_correction(connection: Connection, correction: Correction) -> bool:
    """True where the post of the prediction is in the journal; false where it is not, and nothing is kept.

    What comes twice under one id is kept once.
    """
    asked = select(*DECISIONS.c[(*_COPIED, "route", "intent")])
    found = connection.execute(asked.where(DECISIONS.c.prediction_id == correction.prediction_id)).mappings().first()
    if found is None:
        return False
    row: dict[str, Any] = {name: getattr(correction, name) for name in _OWN} | {"note": masked(correction.note)}
    row |= {name: found[name] for name in _COPIED}
    row |= {"predicted_route": found["route"], "predicted_intent": found["intent"]}
    connection.execute(insert_new(connection, CORRECTIONS), row)
    return True


def corrections(connection: Connection, *, since: datetime | None = None) -> Iterator[CorrectedPost]:
    """The corrections made from then on, the oldest first; of one reader and prediction the newest alone."""
    asked = select(CORRECTIONS).order_by(CORRECTIONS.c.made_at, CORRECTIONS.c.id)
    if since is not None:
        asked = asked.where(CORRECTIONS.c.made_at >= since)
    rows = {(row["prediction_id"], row["reader"]): row for row in connection.execute(asked).mappings()}
    for row in sorted(rows.values(), key=lambda each: (each["made_at"], each["id"])):
        kept = {name: row[name] for name in (*_COPIED, "predicted_route", "predicted_intent") if name != "facts"}
        own = Correction(**{name: row[name] for name in _OWN})
        yield CorrectedPost(correction=own, facts=FACTS.validate_json(row["facts"]), **kept)
