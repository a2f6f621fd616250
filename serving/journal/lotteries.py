"""At which chance automatic answers are drawn to be read: each setting is a row, and holds for answers after it alone.

What a risk is shown by must be drawn at a chance that was fixed before the answer was given. So a setting begins at the
time at which it is written, none is changed, and its secret, by which lots are drawn, is made here and shown to nobody.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from secrets import token_hex

from sqlalchemy import ColumnElement, Connection, insert, select

from serving.journal.facets import ms_of
from serving.journal.reviews import now, standing
from serving.journal.tables import FACETS, LOTTERIES

CLOSING = ("auto_answer", "no_reply")
"""The actions of answers that no person sees."""
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Lottery:
    """From `since` on an automatic answer is drawn with that chance, over 0 up to 1. `by` is the name of a key."""

    since: datetime
    chance: float
    secret: str
    by: str

    @property
    def commitment(self) -> str:
        """The SHA-256 of the secret: shows later that it was this one, and tells nothing of it now."""
        return sha256(self.secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Scope:
    """The answers of one model under one policy, received from `since` on and, where there is an end, before it."""

    model_version: str
    policy_version: str
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What one reader says of an answer: a reading that stands."""

    reader: str
    verdict: str
    route: str | None
    intent: str | None


def set_lottery(connection: Connection, *, chance: float, by: str) -> Lottery:
    """The setting that holds from now on.

    Raises:
        ValueError: when the chance is none.
    """
    if not 0 < chance <= 1:
        raise ValueError(
            f"Nothing was set: the chance is {chance:.4g}. Wanted: over 0 and at most 1, since of what is never drawn "
            "nothing can be said. Correct it."
        )
    lottery = Lottery(now(), chance, token_hex(_SECRET_BYTES), by)
    row = {"since": lottery.since, "chance": chance, "secret": lottery.secret, "by": by}
    connection.execute(insert(LOTTERIES), row)
    return lottery


def lotteries(connection: Connection) -> tuple[Lottery, ...]:
    """All settings, the first first."""
    found = select(*LOTTERIES.c["since", "chance", "secret", "by"]).order_by(LOTTERIES.c.place)
    return tuple(Lottery(*row) for row in connection.execute(found))


def _within(scope: Scope) -> Iterator[ColumnElement[bool]]:
    yield FACETS.c.at_ms >= ms_of(scope.since)
    if scope.until is not None:
        yield FACETS.c.at_ms < ms_of(scope.until)
    yield FACETS.c.action.in_(CLOSING)
    yield FACETS.c.lane.in_(("live", "canary"))
    yield FACETS.c.model_version == scope.model_version
    yield FACETS.c.policy_version == scope.policy_version


def automatic_answers(connection: Connection, scope: Scope) -> tuple[tuple[str, int, str], ...]:
    """The automatic answers in the order in which they came: prediction id, when received in ms since 1970, action."""
    columns = FACETS.c["prediction_id", "at_ms", "action"]
    found = connection.execute(select(*columns).where(*_within(scope)).order_by(columns[1], columns[0]))
    return tuple((prediction_id, at_ms, action) for prediction_id, at_ms, action in found)


def said_of_automatic_answers(connection: Connection, scope: Scope) -> dict[str, tuple[Said, ...]]:
    """The readings of those answers that stand, by prediction id."""
    read = standing()
    columns = read.c["prediction_id", "reader", "verdict", "route", "intent"]
    joined = FACETS.join(read, read.c.prediction_id == FACETS.c.prediction_id)
    asked = select(*columns).select_from(joined).where(*_within(scope)).order_by(read.c.made_at, read.c.id)
    said: dict[str, tuple[Said, ...]] = {}
    for prediction_id, *reading in connection.execute(asked):
        said[prediction_id] = (*said.get(prediction_id, ()), Said(*reading))
    return said
