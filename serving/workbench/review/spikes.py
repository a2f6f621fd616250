"""Hours out of the ordinary, of all posts and of those that say nearly the same. Owns where they are looked for.

What is ordinary is said by `evaluation.workbench.spikes`: an hour against the same hour of earlier weeks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import Connection

from evaluation.workbench.spikes import LEAST_POSTS, find_spikes
from serving.journal.filter import Filter
from serving.journal.queries import HOUR_S, clusters, first_at
from serving.journal.samples import posts_by_hour

DAYS = 7
"""How long ago an hour may be to be read for having been out of the ordinary."""
WEEKS = 4
"""As the crisis brake looks back."""
MOST_CLUSTERS = 20
MOST_SPIKES = 30
_DAY, _WEEK = 24, 168
"""Hours."""


@dataclass(frozen=True, slots=True)
class Spike:
    """An hour with more posts than were to be expected: of a cluster, or of all where that is `None`."""

    since: datetime
    cluster: str | None
    posts: int
    expected: float

    @property
    def where(self) -> Filter:
        """Its posts."""
        return Filter(since=self.since, until=self.since + timedelta(seconds=HOUR_S), cluster=self.cluster)


def _time(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * HOUR_S, UTC)


def _spikes(
    counted: Mapping[tuple[str | None, int], int], names: Sequence[str | None], hours: range, weeks: int, passed: float
) -> list[Spike]:
    """The spikes of those names, the steepest first; of the last of the `hours` only a share has `passed`."""
    places = [(name, hour) for name in names for hour in hours]
    if not places:
        return []
    counts = np.array(
        [[counted.get((name, hour - week * _WEEK), 0) for week in range(weeks + 1)] for name, hour in places]
    )
    elapsed = np.array([passed if hour == hours[-1] else 1.0 for _, hour in places])
    found = find_spikes(counts[:, 0], counts[:, 1:], elapsed=elapsed)
    spikes = [
        Spike(_time(hour), name, int(counts[place, 0]), float(found.expected[place]))
        for place, (name, hour) in enumerate(places)
        if found.is_spike[place]
    ]
    return sorted(spikes, key=lambda spike: (spike.expected - spike.posts, spike.since))


def find_hours(connection: Connection, now: datetime) -> tuple[Spike, ...]:
    """The spikes of the last days: those of clusters first, of either the steepest first.

    None where the journal has less than two weeks before those days, since nothing is usual then.
    """
    began, running = first_at(connection, Filter()), int(now.timestamp()) // HOUR_S
    hours = range(running - DAYS * _DAY + 1, running + 1)
    weeks = min(WEEKS, (hours[0] - int(began.timestamp()) // HOUR_S) // _WEEK) if began else 0
    if weeks < 2:
        return ()
    alike = clusters(connection, Filter(since=_time(hours[0])), least=LEAST_POSTS, most=MOST_CLUSTERS)
    names = [each.name for each in alike]
    looked_at = Filter(since=_time(hours[0] - weeks * _WEEK))
    passed = max(1.0, now.timestamp() - running * HOUR_S) / HOUR_S
    of_clusters = posts_by_hour(connection, looked_at, names)
    of_all = posts_by_hour(connection, looked_at)
    found = [*_spikes(of_clusters, names, hours, weeks, passed), *_spikes(of_all, [None], hours, weeks, passed)]
    return tuple(found[:MOST_SPIKES])
