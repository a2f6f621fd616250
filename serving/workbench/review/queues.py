"""The queues that people read from, and how far they are. Owns what each queue is for; the order is the journal's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from sqlalchemy import Connection

from evaluation.predictions import BoolArray
from evaluation.selection import Reason
from evaluation.workbench.monitor import reads_to_show, risk_sequence
from evaluation.workbench.review import Mix, by_turns
from models.calibration import FloatArray
from serving.journal.draws import Content, Stream, sample_of, unread_by
from serving.journal.filter import Filter
from serving.journal.queries import KeptPost, Order, find_posts, next_to_read
from serving.journal.reviews import Agreement, Label, agreement, readings_of
from serving.journal.samples import Sample, next_by_turns, next_disagreements, read_sample
from serving.workbench.review.spikes import find_hours

AUTOMATIC = ("auto_answer", "no_reply")
SPAN = timedelta(days=30)
"""How far back queues reach: what happened before says little of the model in service."""
WANTED = 0.01
"""The share of wrong automatic answers that reading is to show; a tenth of a percent would take 4,756 readings."""
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Queue:
    """Posts that are read for one reason: in which order, and which of the journal."""

    name: str
    about: str
    order: Order | Literal["mixed", "farthest", "spikes"]
    actions: tuple[str, ...] = ()
    abstained: bool | None = None
    reviewed: bool | None = None
    by_lot: bool = False
    """Holds what the risk monitor has drawn, the oldest first, where it draws."""

    def where(self, now: datetime) -> Filter:
        """The posts meant."""
        return Filter(since=now - SPAN, actions=self.actions, abstained=self.abstained, reviewed=self.reviewed)


QUEUES: Mapping[str, Queue] = MappingProxyType(
    {
        "next": Queue("What to read next", "of each of the next five queues its share", "mixed"),
        "automatic": Queue(
            "Automatic answers", "a random sample, from which the leak can be bounded", "random", AUTOMATIC, by_lot=True
        ),
        "uncertain": Queue("Uncertain", "where the model was least sure of the route", "uncertain"),
        "abstained": Queue("Abstained", "looked simple, and was not answered alone", "newest", abstained=True),
        "disagreement": Queue(
            "Models disagree", "a challenger would have done something else, the least alike first", "farthest"
        ),
        "spikes": Queue("Spikes", "hours out of the ordinary, those of nearly the same posts first", "spikes"),
        "second": Queue("Second reading", "read by others, to see how far people agree", "random", reviewed=True),
        "newest": Queue("Newest", "as they came", "newest"),
    }
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far reading is: today by this reader, and of the automatic answers in their random order by all.

    One that was read in another queue counts only once the random order has come to it. People look after every reading
    and stop where they like what they see: `bound` and `more` are of the risk monitor's interval, which allows that.
    """

    today: int
    read: int
    wrong: int
    bound: float
    more: int | None

    @property
    def words(self) -> str:
        """What reading shows, in words."""
        wanted = f"show under {100 * WANTED:.0f} %"
        if not self.read:
            return (
                "The next automatic answer of the random order has not been read yet. "
                f"Read {self.more:,} without an error to {wanted}."
            )
        shown = (
            f"Of {self.read} automatic answers drawn at random {self.wrong} are wrong or nobody could tell: at most "
            f"{100 * self.bound:.1f} % are wrong, with {100 * CONFIDENCE:.0f} % confidence however often one looks."
        )
        if self.more is None:
            return f"{shown} No number that can be read would {wanted}."
        return f"{shown} Read {self.more:,} more without an error to {wanted}." if self.more else shown


_Answers = tuple[BoolArray, BoolArray, FloatArray]
"""Which are wrong or nobody could tell, which were drawn, at which chance: `[n]` each."""


def _answers_of(draw: Stream) -> _Answers:
    n = draw.counted
    return draw.of("wrong", "sensitive", "doubt")[:n], draw.drawn[:n], draw.chance[:n]


def _read_answers(sample: Sample) -> _Answers:
    """A random order that was read from its beginning; the bound does not depend on where in it the errors stand."""
    read = np.ones(sample.read, dtype=np.bool_)
    return np.arange(sample.read) < sample.wrong, read, np.ones(sample.read)


def read_progress(
    connection: Connection, reader: str, now: datetime, *, content: Content, draw: Stream | None = None
) -> Progress:
    """How far reading is; of automatic answers what was drawn counts, where the risk monitor draws.

    `content` is that of the policy in force.
    """
    wanted = QUEUES["automatic"].where(now)
    sample = sample_of(draw) if draw is not None else read_sample(connection, wanted, content=content)
    answers = _answers_of(draw) if draw is not None else _read_answers(sample)
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Progress(
        today=readings_of(connection, reader, midnight),
        read=sample.read,
        wrong=sample.wrong,
        bound=float(risk_sequence(*answers, confidence=CONFIDENCE, points=2).high[-1]) if sample.read else 1.0,
        more=reads_to_show(*answers, wanted=WANTED, confidence=CONFIDENCE),
    )


@dataclass(frozen=True, slots=True)
class Agreed:
    """Of the pairs of readings with this label among them, those that agree."""

    label: str
    pairs: int
    same: int


def agreed_by_label(found: Sequence[Agreement]) -> list[Agreed]:
    """How far two readers of one post agree, by label, those that were given most often first."""
    rows = []
    for label in {each.one for each in found} | {each.other for each in found}:
        pairs = [each for each in found if label in (each.one, each.other)]
        same = sum(each.posts for each in pairs if each.one == each.other)
        rows.append(Agreed(label, sum(each.posts for each in pairs), same))
    return sorted(rows, key=lambda row: (-row.pairs, row.label))


def read_agreement(connection: Connection, now: datetime) -> dict[Label, list[Agreed]]:
    """How far readers agreed within the span of the queues, on routes and on intents."""
    found = agreement(connection, now - SPAN, now + timedelta(minutes=1))
    return {of: agreed_by_label([each for each in found if each.of == of]) for of in get_args(Label)}


def next_posts(
    connection: Connection, queue: Queue, reader: str, now: datetime, most: int, *, draw: Stream | None = None
) -> tuple[KeptPost, ...]:
    """What this reader has not read of a queue, in its order; `draw` is what the risk monitor has drawn, if it does."""
    if queue.order == "mixed":
        return _mixed(connection, reader, now, most, draw)
    if queue.by_lot and draw is not None:
        return find_posts(connection, unread_by(draw, reader)[:most])
    if queue.order == "farthest":
        return next_disagreements(connection, queue.where(now), reader=reader, most=most)
    if queue.order == "spikes":
        wanted = [each.where for each in find_hours(connection, now)]
        return next_by_turns(connection, wanted, reader=reader, most=most)
    return next_to_read(connection, queue.where(now), order=queue.order, reader=reader, most=most)


_QUEUE_OF: Mapping[Reason, str] = MappingProxyType(
    {
        "random": "automatic",
        "disagreement": "disagreement",
        "spike": "spikes",
        "abstained": "abstained",
        "uncertain": "uncertain",
    }
)


def _mixed(connection: Connection, reader: str, now: datetime, most: int, draw: Stream | None) -> tuple[KeptPost, ...]:
    """The next posts of five queues by their shares, each post once. Where one came from has no part in any figure."""
    found = {
        reason: next_posts(connection, QUEUES[name], reader, now, most, draw=draw) for reason, name in _QUEUE_OF.items()
    }
    once = {post.prediction_id: post for post in by_turns(found, Mix())}
    return tuple(once.values())[:most]
