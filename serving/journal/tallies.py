"""Decisions counted by step of time, everything that a chart needs in one pass: for who asks again and again.

What was counted of a step can be added to that of others, so a step that is over need not be counted anew.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import accumulate
from operator import add

from sqlalchemy import ColumnElement, Connection, func, select

from serving.journal.filter import Filter, conditions
from serving.journal.queries import LATENCY_BOUNDS_MS, latency_place, sum_where
from serving.journal.tables import FACETS

CLOSING = ("auto_answer", "no_reply")
"""What a machine does with a post that nobody else gets."""
WITHIN = timedelta(minutes=15)
"""The promise: decided so soon after the post was posted."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Posts of one span of time, and how many of each route, action and intent.

    `latencies` has the posts at or under each of `LATENCY_BOUNDS_MS`, so the last is all but those over every bound;
    of the `dated`, whose time of posting is known, `in_time` were decided within the promise.
    """

    posts: int = 0
    abstained: int = 0
    dated: int = 0
    in_time: int = 0
    latencies: tuple[int, ...] = (0,) * len(LATENCY_BOUNDS_MS)
    routes: Mapping[str, int] = field(default_factory=Counter)
    actions: Mapping[str, int] = field(default_factory=Counter)
    intents: Mapping[str, int] = field(default_factory=Counter)

    @property
    def closed(self) -> int:
        """Posts that the machine closed."""
        return sum(self.actions.get(action, 0) for action in CLOSING)

    @property
    def closed_share(self) -> float | None:
        """Of all posts; `None` without any, as are the other shares."""
        return self.closed / self.posts if self.posts else None

    @property
    def abstained_share(self) -> float | None:
        """Of all posts: looked simple, and was not answered alone."""
        return self.abstained / self.posts if self.posts else None

    @property
    def in_time_share(self) -> float | None:
        """Of the posts whose time of posting is known."""
        return self.in_time / self.dated if self.dated else None


def add_up(tallies: Iterable[Tally]) -> Tally:
    """All of them as one."""
    found = tuple(tallies)
    routes, actions, intents = Counter[str](), Counter[str](), Counter[str]()
    for each in found:
        routes.update(each.routes)
        actions.update(each.actions)
        intents.update(each.intents)
    return Tally(
        posts=sum(each.posts for each in found),
        abstained=sum(each.abstained for each in found),
        dated=sum(each.dated for each in found),
        in_time=sum(each.in_time for each in found),
        latencies=tuple(map(sum, zip(*(each.latencies for each in found), strict=True))) or Tally().latencies,
        routes=routes,
        actions=actions,
        intents=intents,
    )


def tallies_by_step(connection: Connection, wanted: Filter, *, step_s: int) -> dict[int, Tally]:
    """The tally of each step of time in which there were posts, by its number: steps are counted from 1970 on."""
    step = (FACETS.c.at_ms // (step_s * 1_000)).label("step")
    labels = FACETS.c["route", "action", "intent"]
    decided_s = FACETS.c.waited_s + FACETS.c.latency_ms / 1_000
    figures = (
        func.count(),
        sum_where(FACETS.c.abstained),
        func.count(FACETS.c.waited_s),
        sum_where(decided_s <= WITHIN.total_seconds()),
    )
    asked = select(step, *labels, *figures).where(*conditions(wanted)).group_by(step, *labels)
    totals: dict[int, list[int]] = {}
    by_label: dict[int, tuple[Counter[str], ...]] = {}
    for place, route, action, intent, *numbers in connection.execute(asked):
        known = totals.get(place)
        totals[place] = numbers if known is None else list(map(add, known, numbers))
        counters = by_label.setdefault(place, (Counter(), Counter(), Counter()))
        for counter, label in zip(counters, (route, action, intent), strict=True):
            counter[label] += numbers[0]
    under = _latencies_by_step(connection, wanted, step)
    return {
        place: Tally(posts, abstained, dated, in_time, under[place], *by_label[place])
        for place, (posts, abstained, dated, in_time) in totals.items()
    }


def _latencies_by_step(connection: Connection, wanted: Filter, step: ColumnElement[int]) -> dict[int, tuple[int, ...]]:
    """The `latencies` of each step's tally: a question of its own, since with the labels it has far more groups."""
    asked = select(step, latency_place(), func.count()).where(*conditions(wanted)).group_by(step, "bin")
    bins: defaultdict[int, list[int]] = defaultdict(lambda: [0] * (len(LATENCY_BOUNDS_MS) + 1))
    for at, place, posts in connection.execute(asked):
        bins[at][place] = posts
    return {at: tuple(accumulate(posts[:-1])) for at, posts in bins.items()}
