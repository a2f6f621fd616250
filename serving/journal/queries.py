"""What is asked of the journal: pages of posts, counts, and what readers make of them. All of it in SQL.

Counts come from facets, which outlive the text where somebody has read a post; posts come from decisions, so that of a
post whose text is deleted there is only the count.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, case, func, literal, select, tuple_

from models.policy import Facts
from serving.journal.facets import ms_of, time_of
from serving.journal.filter import Filter, conditions
from serving.journal.reviews import labelled, standing
from serving.journal.tables import DECISIONS, FACETS, FACTS

Label = Literal["route", "intent"]
Order = Literal["newest", "uncertain", "random"]
HOUR_S = 3_600
LATENCY_BOUNDS_MS = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0)
"""As in the metrics: a post takes 5 to 20 ms, the default deadline is 5 s."""
CONFIDENCE_BINS = 20


@dataclass(frozen=True, slots=True)
class KeptPost:
    """One decision with what the model read: masked text, and what the answer said."""

    prediction_id: str
    received_at: datetime
    post_id: str | None
    text: str
    context: str
    platform: str
    lang: str
    route: str
    intent: str
    action: str
    queue: str
    abstained: bool
    confidence: float
    routes: dict[str, float]
    intents: dict[str, float]
    reasons: tuple[tuple[str, str], ...]
    """Code and detail of each."""
    model_version: str
    policy_version: str
    latency_ms: float
    cluster: str | None
    author: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Posts, and what to ask for those after them; `None` at the end."""

    posts: tuple[KeptPost, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A label of one reader that stands."""

    reader: str
    route: str
    intent: str


@dataclass(frozen=True, slots=True)
class ReviewedPost:
    """A post with the facts that the policy used, and what readers say of it: one reading at least."""

    post: KeptPost
    facts: Facts
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """Posts of one route, action and intent, from `since` on, where they are counted by time."""

    since: datetime | None
    route: str
    action: str
    intent: str
    posts: int
    abstained: int


@dataclass(frozen=True, slots=True)
class Cell:
    """How many readings gave a post that label where the model gave it this one."""

    predicted: str
    reviewed: str
    readings: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Posts over the bound before it and at most at this one, which is infinite in the last bin."""

    most: float
    posts: int


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """Posts from `least` confidence on and under the next bin's; of their readings with a label, those that agree."""

    least: float
    posts: int
    readings: int
    right: int


@dataclass(frozen=True, slots=True)
class Promise:
    """Posts whose time of posting is known, and those of them that were decided in time."""

    posts: int
    in_time: int


@dataclass(frozen=True, slots=True)
class FollowUps:
    """Automatic answers, those of them whose author is known, and those whose author wrote again in time."""

    answers: int
    known: int
    followed: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """Posts that say nearly the same, and the newest of them."""

    name: str
    posts: int
    first_at: datetime
    last_at: datetime
    prediction_id: str


@dataclass(frozen=True, slots=True)
class Choices:
    """What there is to filter by."""

    platforms: tuple[str, ...]
    langs: tuple[str, ...]
    intents: tuple[str, ...]
    models: tuple[str, ...]


def read_posts(connection: Connection, asked: Select[Any]) -> tuple[KeptPost, ...]:
    """The posts that a statement of `select_posts` finds, in its order."""
    return tuple(_post(row) for row in connection.execute(asked).mappings())


def select_posts(*conditions: ColumnElement[bool]) -> Select[Any]:
    """The statement that finds the posts of which all that holds, to be ordered, limited and given to `read_posts`."""
    kept = DECISIONS.c["received_at", "post_id", "text", "context", "queue", "policy_version", "routes", "intents"]
    found = FACETS.c["prediction_id", "platform", "lang", "route", "intent", "action", "abstained", "confidence"]
    further = FACETS.c["model_version", "latency_ms", "cluster", "author", "at_ms"]
    joined = FACETS.join(DECISIONS, DECISIONS.c.prediction_id == FACETS.c.prediction_id)
    return select(*kept, *found, *further, DECISIONS.c.answer).select_from(joined).where(*conditions)


def _post(row: Any) -> KeptPost:
    values = {name: row[name] for name in KeptPost.__slots__ if name not in ("routes", "intents", "reasons")}
    reasons = json.loads(row["answer"])["decision"]["reasons"]
    return KeptPost(
        **values,
        routes=json.loads(row["routes"]),
        intents=json.loads(row["intents"]),
        reasons=tuple((each["code"], each["detail"]) for each in reasons),
    )


def page_of_posts(connection: Connection, wanted: Filter, *, after: str | None = None, most: int = 50) -> Page:
    """The newest posts, or those after a page whose `next` is `after`.

    Raises:
        ValueError: when `after` is no page's `next`.
    """
    asked = select_posts(*conditions(wanted)).order_by(FACETS.c.at_ms.desc(), FACETS.c.prediction_id.desc())
    if after is not None:
        at_ms, _, prediction_id = after.partition(".")
        before = tuple_(literal(int(at_ms), BigInteger), literal(prediction_id))
        asked = asked.where(tuple_(FACETS.c.at_ms, FACETS.c.prediction_id) < before)
    posts = read_posts(connection, asked.limit(most + 1))
    more = len(posts) > most
    last = posts[most - 1] if more else None
    return Page(posts[:most], f"{ms_of(last.received_at)}.{last.prediction_id}" if last else None)


def find_post(connection: Connection, prediction_id: str) -> KeptPost | None:
    """The post of a prediction, `None` where there is none or its text is deleted."""
    return next(iter(read_posts(connection, select_posts(FACETS.c.prediction_id == prediction_id))), None)


def find_posts(connection: Connection, prediction_ids: Sequence[str]) -> tuple[KeptPost, ...]:
    """The posts of predictions in the order in which they are named, without those whose text is deleted."""
    found = read_posts(connection, select_posts(FACETS.c.prediction_id.in_(prediction_ids)))
    posts = {post.prediction_id: post for post in found}
    return tuple(posts[key] for key in prediction_ids if key in posts)


def next_to_read(
    connection: Connection, wanted: Filter, *, order: Order, reader: str, most: int = 20
) -> tuple[KeptPost, ...]:
    """Posts that this reader has not read, in the order asked for.

    In the order `random` the first n are a sample drawn without replacement from all that are meant, the same at each
    call, so that what was read of it is one too: nothing that a post says has a part in its place.
    """
    by: dict[Order, Sequence[ColumnElement[Any]]] = {
        "newest": (FACETS.c.at_ms.desc(), FACETS.c.prediction_id.desc()),
        "uncertain": (FACETS.c.confidence, FACETS.c.prediction_id),
        "random": (FACETS.c.lot, FACETS.c.prediction_id),
    }
    asked = select_posts(*conditions(wanted), unread(reader))
    return read_posts(connection, asked.order_by(*by[order]).limit(most))


def unread(reader: str) -> ColumnElement[bool]:
    """What holds of the facets of a post that this reader has not read."""
    return FACETS.c.prediction_id.not_in(labelled(reader))


def first_at(connection: Connection, wanted: Filter) -> datetime | None:
    """When the oldest of them was received, `None` where there is none."""
    asked = select(FACETS.c.at_ms).where(*conditions(wanted)).order_by(FACETS.c.at_ms).limit(1)
    found = connection.execute(asked).scalar()
    return None if found is None else time_of(found)


def reviewed_ids(connection: Connection, wanted: Filter, *, most: int = 20_000) -> tuple[str, ...]:
    """The prediction ids of the newest decisions that readers have labelled: what figures are computed from.

    Of some the text may be deleted.
    """
    asked = select(FACETS.c.prediction_id).where(*conditions(wanted), FACETS.c.prediction_id.in_(labelled()))
    found = connection.execute(asked.order_by(FACETS.c.at_ms.desc(), FACETS.c.prediction_id.desc()).limit(most))
    return tuple(found.scalars())


def reviewed_posts(connection: Connection, prediction_ids: Sequence[str]) -> tuple[ReviewedPost, ...]:
    """Those of the posts that readers have labelled, the newest first, with all that was said of them."""
    asked = select_posts(FACETS.c.prediction_id.in_(prediction_ids)).add_columns(DECISIONS.c.facts)
    rows = connection.execute(asked.order_by(FACETS.c.at_ms.desc(), FACETS.c.prediction_id.desc())).mappings().all()
    readings: defaultdict[str, list[Reading]] = defaultdict(list)
    read = standing()
    labels = select(*read.c["prediction_id", "reader", "route", "intent"]).where(
        read.c.verdict == "label", read.c.prediction_id.in_(prediction_ids)
    )
    for prediction_id, *reading in connection.execute(labels.order_by(read.c.made_at, read.c.id)):
        readings[prediction_id].append(Reading(*reading))
    return tuple(
        ReviewedPost(_post(row), FACTS.validate_json(row["facts"]), tuple(readings[row["prediction_id"]]))
        for row in rows
        if row["prediction_id"] in readings
    )


def counts(connection: Connection, wanted: Filter) -> tuple[Count, ...]:
    """Posts by route, action and intent."""
    labels = FACETS.c["route", "action", "intent"]
    asked = select(*labels, func.count(), sum_where(FACETS.c.abstained)).where(*conditions(wanted)).group_by(*labels)
    found = connection.execute(asked.order_by(*labels))
    return tuple(Count(None, *labels_and_posts) for labels_and_posts in map(tuple, found))


def counts_by_time(connection: Connection, wanted: Filter, *, step_s: int = HOUR_S) -> tuple[Count, ...]:
    """The same for each step of time in which there were posts, the earliest first; a step begins at its `since`."""
    step_ms = step_s * 1_000
    step = (FACETS.c.at_ms // step_ms).label("step")
    labels = FACETS.c["route", "action", "intent"]
    asked = select(step, *labels, func.count(), sum_where(FACETS.c.abstained)).where(*conditions(wanted))
    found = connection.execute(asked.group_by(step, *labels).order_by(step, *labels))
    return tuple(Count(time_of(place * step_ms), *row) for place, *row in found)


def sum_where(condition: ColumnElement[Any]) -> ColumnElement[int]:
    """For how many rows it holds."""
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def confusion(connection: Connection, wanted: Filter, of: Label = "route") -> tuple[Cell, ...]:
    """The model's labels beside the readers'. Each reading counts, so a post with two readers counts twice."""
    read = standing()
    predicted, reviewed = FACETS.c[of], read.c[of]
    joined = FACETS.join(read, read.c.prediction_id == FACETS.c.prediction_id)
    asked = select(predicted, reviewed, func.count()).select_from(joined)
    asked = asked.where(read.c.verdict == "label", *conditions(wanted)).group_by(predicted, reviewed)
    return tuple(Cell(*row) for row in connection.execute(asked.order_by(predicted, reviewed)))


def latency_place() -> ColumnElement[int]:
    """The place of a post's least bound on latency, as `bin`; -1 where it is over all."""
    bounds = ((FACETS.c.latency_ms <= bound, n) for n, bound in enumerate(LATENCY_BOUNDS_MS))
    return case(*bounds, else_=-1).label("bin")


def latencies(connection: Connection, wanted: Filter) -> tuple[Bin, ...]:
    """Posts by how long their request took, one bin for each bound and one for what is over all."""
    asked = select(latency_place(), func.count()).where(*conditions(wanted)).group_by("bin")
    found = {row[0]: row[1] for row in connection.execute(asked)}
    bins = [Bin(bound, found.get(n, 0)) for n, bound in enumerate(LATENCY_BOUNDS_MS)]
    return (*bins, Bin(inf, found.get(-1, 0)))


def confidences(connection: Connection, wanted: Filter) -> tuple[ConfidenceBin, ...]:
    """Posts by confidence of the route in 20 equal bins, with what readers say of them."""
    bounds = [n / CONFIDENCE_BINS for n in range(1, CONFIDENCE_BINS)]
    place = case(
        *((FACETS.c.confidence < bound, n) for n, bound in enumerate(bounds)), else_=CONFIDENCE_BINS - 1
    ).label("bin")
    read = standing()
    joined = FACETS.join(read, read.c.prediction_id == FACETS.c.prediction_id)
    posts = dict(_pairs(connection, select(place, func.count()).where(*conditions(wanted)).group_by("bin")))
    readings = connection.execute(
        select(place, func.count(), sum_where(read.c.route == FACETS.c.route))
        .select_from(joined)
        .where(read.c.verdict == "label", *conditions(wanted))
        .group_by("bin")
    )
    judged = {row[0]: (row[1], row[2]) for row in readings}
    return tuple(
        ConfidenceBin(n / CONFIDENCE_BINS, posts.get(n, 0), *judged.get(n, (0, 0))) for n in range(CONFIDENCE_BINS)
    )


def _pairs(connection: Connection, asked: Select[Any]) -> list[tuple[int, int]]:
    return [(row[0], row[1]) for row in connection.execute(asked)]


def promise(connection: Connection, wanted: Filter, *, within: timedelta = timedelta(minutes=15)) -> Promise:
    """How many posts were decided within that time of being posted."""
    decided_s = FACETS.c.waited_s + FACETS.c.latency_ms / 1_000
    asked = select(func.count(FACETS.c.waited_s), sum_where(decided_s <= within.total_seconds()))
    return Promise(*connection.execute(asked.where(*conditions(wanted))).one())


def follow_ups(connection: Connection, wanted: Filter, *, within: timedelta) -> FollowUps:
    """After how many automatic answers the same author wrote again within that time: the reopen rate.

    Of an author who is not known nothing is known; `known` is 0 where the server has no key for pseudonyms.
    """
    later = FACETS.alias("later")
    in_time = later.c.at_ms <= FACETS.c.at_ms + round(within.total_seconds() * 1_000)
    again = (
        select(later.c.prediction_id)
        .where(later.c.author == FACETS.c.author, later.c.at_ms > FACETS.c.at_ms, in_time)
        .exists()
    )
    asked = select(func.count(), func.count(FACETS.c.author), sum_where(again))
    return FollowUps(*connection.execute(asked.where(FACETS.c.action == "auto_answer", *conditions(wanted))).one())


def clusters(connection: Connection, wanted: Filter, *, least: int = 5, most: int = 20) -> tuple[Cluster, ...]:
    """The largest clusters of posts that say nearly the same, `least` posts in each, the largest first."""
    posts = func.count().label("posts")
    times = (func.min(FACETS.c.at_ms), func.max(FACETS.c.at_ms))
    asked = select(FACETS.c.cluster, posts, *times, func.max(FACETS.c.prediction_id))
    asked = asked.where(FACETS.c.cluster.is_not(None), *conditions(wanted)).group_by(FACETS.c.cluster)
    found = connection.execute(asked.having(posts >= least).order_by(posts.desc(), FACETS.c.cluster).limit(most))
    return tuple(
        Cluster(name, number, time_of(first), time_of(last), newest) for name, number, first, last, newest in found
    )


def choices(connection: Connection, wanted: Filter) -> Choices:
    """The values that there are, each once, in the order of the alphabet."""

    columns = FACETS.c["platform", "lang", "intent", "model_version"]
    found = connection.execute(select(*columns).where(*conditions(wanted)).distinct()).all()
    return Choices(*(tuple(sorted({row[place] for row in found})) for place in range(len(columns))))
