"""Labels that people gave instead of the model's, each with the post as the model read it and where it comes from.

A correction keeps its own copy of the masked text, since it is there to be trained on; how long stands in
docs/workbench.md. To withdraw one is a row of its own: it stays on record, and nobody trains on it any more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, literal, select, tuple_

from models.policy import Facts
from serving.journal.reviews import masked, new_id, now
from serving.journal.store import add_row, insert_new
from serving.journal.tables import CORRECTION_WITHDRAWALS, CORRECTIONS, DECISIONS, FACTS, UtcTime


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


@dataclass(frozen=True, slots=True)
class CorrectionFilter:
    """Which corrections are meant; what is empty or `None` says nothing."""

    since: datetime | None = None
    """Made then or later."""
    until: datetime | None = None
    """Made before."""
    reader: str = ""
    route: str = ""
    """The one that was given, not the model's; the intent likewise."""
    intent: str = ""
    model: str = ""
    """The version of the model that was corrected."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Who took a correction back, why and when."""

    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CorrectionOnRecord:
    """A correction and what became of it. It is `followed` where a later one of the same prediction stands."""

    corrected: CorrectedPost
    withdrawal: Withdrawal | None
    followed: bool


@dataclass(frozen=True, slots=True)
class CorrectionPage:
    """Corrections, and what to ask for those after them; `None` at the end."""

    corrections: tuple[CorrectionOnRecord, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class CorrectionChoices:
    """What there is to choose corrections by, in the order of the alphabet."""

    readers: tuple[str, ...]
    intents: tuple[str, ...]
    models: tuple[str, ...]


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


def withdraw_correction(connection: Connection, correction_id: str, *, by: str, reason: str) -> bool:
    """True where a correction that stood stands no more; false where there is none of that id, or it was withdrawn."""
    if connection.execute(select(CORRECTIONS.c.id).where(CORRECTIONS.c.id == correction_id)).first() is None:
        return False
    row: dict[str, Any] = {"correction_id": correction_id, "by": by, "reason": masked(reason), "at": now()}
    return add_row(connection, CORRECTION_WITHDRAWALS, row)


def _conditions(wanted: CorrectionFilter) -> Iterator[ColumnElement[bool]]:
    for column, value in (
        (CORRECTIONS.c.reader, wanted.reader),
        (CORRECTIONS.c.route, wanted.route),
        (CORRECTIONS.c.intent, wanted.intent),
        (CORRECTIONS.c.model_version, wanted.model),
    ):
        if value:
            yield column == value
    if wanted.since is not None:
        yield CORRECTIONS.c.made_at >= wanted.since
    if wanted.until is not None:
        yield CORRECTIONS.c.made_at < wanted.until


def _withdrawn() -> ColumnElement[bool]:
    return exists().where(CORRECTION_WITHDRAWALS.c.correction_id == CORRECTIONS.c.id)


def _corrected(row: Any) -> CorrectedPost:
    kept = {name: row[name] for name in (*_COPIED, "predicted_route", "predicted_intent") if name != "facts"}
    own = Correction(**{name: row[name] for name in _OWN})
    return CorrectedPost(correction=own, facts=FACTS.validate_json(row["facts"]), **kept)


def corrections_of(connection: Connection, prediction_id: str) -> tuple[Correction, ...]:
    """Those of one prediction that nobody withdrew, the oldest first; of one reader the newest of them alone."""
    columns, withdrawn = CORRECTIONS.c[_OWN], _withdrawn()
    asked = select(*columns).where(CORRECTIONS.c.prediction_id == prediction_id, ~withdrawn)
    found = connection.execute(asked.order_by(CORRECTIONS.c.made_at, CORRECTIONS.c.id)).mappings()
    newest = {row["reader"]: Correction(**row) for row in found}
    return tuple(sorted(newest.values(), key=lambda each: (each.made_at, each.id)))


def corrections(connection: Connection, wanted: CorrectionFilter = CorrectionFilter()) -> Iterator[CorrectedPost]:
    """Those meant that nobody withdrew, the oldest first; of one reader and prediction the newest of them alone."""
    asked = select(CORRECTIONS).where(~_withdrawn(), *_conditions(wanted))
    found = connection.execute(asked.order_by(CORRECTIONS.c.made_at, CORRECTIONS.c.id))
    rows = {(row["prediction_id"], row["reader"]): row for row in found.mappings()}
    for row in sorted(rows.values(), key=lambda each: (each["made_at"], each["id"])):
        yield _corrected(row)


def page_of_corrections(
    connection: Connection, wanted: CorrectionFilter, *, after: str | None = None, most: int = 25
) -> CorrectionPage:
    """The newest corrections with what became of them, or those after a page whose `next` is `after`.

    Raises:
        ValueError: when `after` is no page's `next`.
    """
    withdrawal, later, its = CORRECTION_WITHDRAWALS.c, CORRECTIONS.alias("later"), CORRECTION_WITHDRAWALS.alias("its")
    place = (CORRECTIONS.c.made_at, CORRECTIONS.c.id)
    followed = exists().where(
        later.c.prediction_id == CORRECTIONS.c.prediction_id,
        tuple_(later.c.made_at, later.c.id) > tuple_(*place),
        ~exists().where(its.c.correction_id == later.c.id),
    )
    joined = CORRECTIONS.outerjoin(CORRECTION_WITHDRAWALS, withdrawal.correction_id == CORRECTIONS.c.id)
    asked = select(CORRECTIONS, *withdrawal["by", "reason", "at"], followed.label("followed")).select_from(joined)
    asked = asked.where(*_conditions(wanted)).order_by(*(column.desc() for column in place))
    if after is not None:
        made_at, _, correction_id = after.rpartition(".")
        before = tuple_(literal(datetime.fromisoformat(made_at), UtcTime()), literal(correction_id))
        asked = asked.where(tuple_(*place) < before)
    rows = connection.execute(asked.limit(most + 1)).mappings().all()
    found = tuple(
        CorrectionOnRecord(
            _corrected(row),
            Withdrawal(row["by"], row["reason"], row["at"]) if row["by"] is not None else None,
            bool(row["followed"]),
        )
        for row in rows[:most]
    )
    last = found[-1].corrected.correction if len(rows) > most else None
    return CorrectionPage(found, f"{last.made_at.isoformat()}.{last.id}" if last else None)


def correction_choices(connection: Connection) -> CorrectionChoices:
    """Who gave corrections, to which intents, of which models."""
    columns = CORRECTIONS.c["reader", "intent", "model_version"]
    found = connection.execute(select(*columns).distinct()).all()
    return CorrectionChoices(*(tuple(sorted({row[place] for row in found})) for place in range(len(columns))))
