"""What readers say of decisions: each reading is a row, to undo one is another, and nothing is written over.

Of one reader the newest reading of a post that was not withdrawn is the one that stands. Two readers of a post both
stand, which is how it is known how far readers agree.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, FromClause, Select, Subquery, exists, func, select
from ulid import ULID

from data.redaction import mask_all
from serving.journal.store import add_row
from serving.journal.tables import REVIEWS

Verdict = Literal["label", "cannot_tell", "skip"]
Label = Literal["route", "intent"]
WITHDRAWN = "withdrawn"


def new_id() -> str:
    """An id that no other row has. Who sends a row twice under one id has written it once."""
    return str(ULID())


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def masked(note: str) -> str:
    """What somebody wrote, without the personal data that redaction knows."""
    return mask_all(note)[0]


@dataclass(frozen=True, slots=True)
class Review:
    """One reading of one decision. `reader` is the name of a key; route and intent belong to the verdict `label`.

    Raises:
        ValueError: when a label lacks one of them, or another verdict has one.
    """

    prediction_id: str
    reader: str
    verdict: Verdict
    route: str | None = None
    intent: str | None = None
    note: str = ""
    id: str = field(default_factory=new_id)
    made_at: datetime = field(default_factory=now)

    def __post_init__(self) -> None:
        given = {self.route is None, self.intent is None}
        if given != {self.verdict != "label"}:
            raise ValueError(
                f"This reading cannot be kept: verdict {self.verdict!r}, route {self.route!r}, intent {self.intent!r}. "
                "Wanted: both labels where the verdict is 'label', neither where it is another. Correct it."
            )


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many posts two readers gave these routes, or intents; `one` is of the reader who is first in the alphabet."""

    of: Label
    one: str
    other: str
    posts: int


_COLUMNS = [REVIEWS.c[each.name] for each in fields(Review)]


def _counts(reviews: FromClause) -> ColumnElement[bool]:
    """What holds of a row that is a reading and was not withdrawn."""
    back = REVIEWS.alias()
    return (reviews.c.verdict != WITHDRAWN) & ~exists().where(back.c.withdraws == reviews.c.id)


def standing() -> Subquery:
    """The readings that stand, as a table."""
    later = REVIEWS.alias("later")
    of_same = (later.c.prediction_id == REVIEWS.c.prediction_id) & (later.c.reader == REVIEWS.c.reader)
    newer = (later.c.made_at > REVIEWS.c.made_at) | (later.c.made_at == REVIEWS.c.made_at) & (later.c.id > REVIEWS.c.id)
    # By questions that an index answers, and no window: so whoever asks for one reader or post looks at these alone.
    followed = exists().where(of_same, newer, _counts(later))
    return select(*_COLUMNS).where(_counts(REVIEWS), ~followed).subquery()


def labelled(reader: str | None = None) -> Select[tuple[str]]:
    """The ids of predictions that have a label that stands; of one reader, those that he read and did not withdraw."""
    stands = standing()
    chosen = stands.c.verdict == "label" if reader is None else stands.c.reader == reader
    return select(stands.c.prediction_id).where(chosen)


def _reviews(rows: Iterable[Any]) -> tuple[Review, ...]:
    return tuple(Review(**{each.name: getattr(row, each.name) for each in fields(Review)}) for row in rows)


def add_review(connection: Connection, review: Review) -> bool:
    """True where it is new; false where a row of its id is there already, which stays as it is."""
    row = {each.name: getattr(review, each.name) for each in fields(Review)} | {"note": masked(review.note)}
    return add_row(connection, REVIEWS, row)


def withdraw_review(connection: Connection, review_id: str, *, reader: str) -> bool:
    """True where a reading that stood stands no more; false where this reader has none of that id, or withdrew it."""
    found = connection.execute(
        select(REVIEWS.c.prediction_id).where(
            REVIEWS.c.id == review_id, REVIEWS.c.reader == reader, REVIEWS.c.verdict != WITHDRAWN
        )
    ).scalar()
    if found is None:
        return False
    row = {
        "id": new_id(),
        "prediction_id": found,
        "reader": reader,
        "made_at": now(),
        "verdict": WITHDRAWN,
        "note": "",
        "withdraws": review_id,
    }
    return add_row(connection, REVIEWS, row, REVIEWS.c.withdraws)


def reviews_of(connection: Connection, prediction_id: str) -> tuple[Review, ...]:
    """The readings of a prediction that stand, the oldest first."""
    stands = standing()
    asked = select(stands).where(stands.c.prediction_id == prediction_id).order_by(stands.c.made_at, stands.c.id)
    return _reviews(connection.execute(asked))


def reviews_between(connection: Connection, since: datetime, until: datetime) -> tuple[Review, ...]:
    """The readings made from `since` on and before `until` that stand, the oldest first."""
    stands = standing()
    spanned = select(stands).where(stands.c.made_at >= since, stands.c.made_at < until)
    return _reviews(connection.execute(spanned.order_by(stands.c.made_at, stands.c.id)))


def readings_of(connection: Connection, reader: str, since: datetime) -> int:
    """How many posts a reader has read from then on: readings of his that stand, whatever their verdict."""
    stands = standing()
    asked = select(func.count()).select_from(stands).where(stands.c.reader == reader, stands.c.made_at >= since)
    return connection.execute(asked).scalar_one()


def last_review(connection: Connection, reader: str) -> Review | None:
    """The newest reading of a reader that stands: what undo takes back."""
    stands = standing()
    asked = select(stands).where(stands.c.reader == reader).order_by(stands.c.made_at.desc(), stands.c.id.desc())
    return next(iter(_reviews(connection.execute(asked.limit(1)))), None)


def agreement(connection: Connection, since: datetime, until: datetime) -> tuple[Agreement, ...]:
    """The pairs of routes, then of intents, that two readers gave one post, of labels that stand and were made in that
    time.
    """
    one, other = standing(), standing()
    pairs = (one.c.route, other.c.route, one.c.intent, other.c.intent)
    both = select(*pairs, func.count()).join(
        other, (one.c.prediction_id == other.c.prediction_id) & (one.c.reader < other.c.reader)
    )
    labels = (one.c.verdict == "label", other.c.verdict == "label")
    spans = (one.c.made_at >= since, one.c.made_at < until, other.c.made_at >= since, other.c.made_at < until)
    counted: dict[Label, Counter[tuple[str, str]]] = {"route": Counter(), "intent": Counter()}
    for route, other_route, intent, other_intent, posts in connection.execute(
        both.where(*labels, *spans).group_by(*pairs)
    ):
        counted["route"][route, other_route] += posts
        counted["intent"][intent, other_intent] += posts
    return tuple(Agreement(of, *pair, posts) for of, found in counted.items() for pair, posts in sorted(found.items()))
