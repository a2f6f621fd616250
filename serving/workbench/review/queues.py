"""The queues that people read from, and how far they are. Owns what each queue is for; the order is the journal's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from sqlalchemy import Connection

from data.taxonomy import ROUTES
from evaluation.certificates import trials_without, upper_bound
from serving.journal.filter import Filter
from serving.journal.queries import KeptPost, Order, confusion, next_to_read
from serving.journal.reviews import Agreement, agreement, readings_of

AUTOMATIC = ("auto_answer", "no_reply")
SPAN = timedelta(days=30)
"""How far back queues reach: what happened before says little of the model in service."""
WANTED = 0.01
"""The share of wrong automatic answers that reading is to show; a tenth of a percent would take 2,995 readings."""
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Queue:
    """Posts that are read for one reason: in which order, and which of the journal."""

    name: str
    about: str
    order: Order
    actions: tuple[str, ...] = ()
    abstained: bool | None = None
    reviewed: bool | None = None

    def where(self, now: datetime) -> Filter:
        """The posts meant."""
        return Filter(since=now - SPAN, actions=self.actions, abstained=self.abstained, reviewed=self.reviewed)


QUEUES: Mapping[str, Queue] = MappingProxyType(
    {
        "automatic": Queue(
            "Automatic answers", "a random sample, from which the leak can be bounded", "random", AUTOMATIC
        ),
        "uncertain": Queue("Uncertain", "where the model was least sure of the route", "uncertain"),
        "abstained": Queue("Abstained", "looked simple, and was not answered alone", "newest", abstained=True),
        "second": Queue("Second reading", "read by others, to see how far people agree", "random", reviewed=True),
        "newest": Queue("Newest", "as they came", "newest"),
    }
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far reading is: today by this reader, and of the random automatic answers by all."""

    today: int
    read: int
    wrong: int
    bound: float
    more: int | None

    @property
    def words(self) -> str:
        """What reading shows, in words."""
        if not self.read:
            return (
                f"No automatic answer has been read yet. Read {self.more} without an error to show under {WANTED:.0%}."
            )
        shown = (
            f"{self.wrong} of {self.read} automatic answers wrong: at most {self.bound:.1%} are, with 95 % confidence."
        )
        if self.more is None:
            return f"{shown} No number that can be read would show under {WANTED:.0%}."
        return f"{shown} Read {self.more} more without an error to show under {WANTED:.0%}." if self.more else shown


def read_progress(connection: Connection, reader: str, now: datetime) -> Progress:
    """How far reading is."""
    cells = confusion(connection, QUEUES["automatic"].where(now))
    read = sum(each.readings for each in cells)
    wrong = sum(each.readings for each in cells if each.reviewed != "simple")
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Progress(
        today=readings_of(connection, reader, midnight),
        read=read,
        wrong=wrong,
        bound=upper_bound(wrong, read, CONFIDENCE) if read else 1.0,
        more=trials_without(wrong, read, WANTED, CONFIDENCE),
    )


@dataclass(frozen=True, slots=True)
class Agreed:
    """Of the pairs of readings with this route among them, those that agree."""

    route: str
    pairs: int
    same: int


def agreed_by_route(found: Sequence[Agreement]) -> list[Agreed]:
    """How far two readers of one post agree, by route."""
    rows = []
    for route in ROUTES:
        pairs = [each for each in found if route in (each.one, each.other)]
        same = sum(each.posts for each in pairs if each.one == each.other)
        rows.append(Agreed(route, sum(each.posts for each in pairs), same))
    return rows


def read_agreement(connection: Connection, now: datetime) -> list[Agreed]:
    """How far readers agreed within the span of the queues, by route."""
    return agreed_by_route(agreement(connection, now - SPAN, now + timedelta(minutes=1)))


def next_posts(connection: Connection, queue: Queue, reader: str, now: datetime, most: int) -> tuple[KeptPost, ...]:
    """What this reader has not read of a queue, in its order."""
    return next_to_read(connection, queue.where(now), order=queue.order, reader=reader, most=most)
