"""What is out of the ordinary: this hour against the same hour of earlier weeks, and posts that say nearly the same."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import Connection

from data.taxonomy import ROUTES
from evaluation.workbench.spikes import find_spikes
from serving.journal.filter import Filter
from serving.journal.queries import Cluster, KeptPost, clusters, find_post, first_at
from serving.journal.tallies import Tally, tallies_by_step
from serving.workbench.cockpit.ledger import HOUR_S

WEEKS = 4
"""As the crisis brake looks back."""
HOURS = 24
FALSE_ALARM = 0.001
"""Of an ordinary hour, and of all rows of the running one together."""
CLUSTER_SPAN = timedelta(days=1)
LEAST_OF_CLUSTER, MOST_CLUSTERS = 5, 10
ALL = "all posts"


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour: its posts, what was to be expected, and the most that is ordinary."""

    since: datetime
    posts: int
    expected: float
    bound: float
    is_spike: bool


@dataclass(frozen=True, slots=True)
class Surge:
    """One row of the running hour so far: all posts, a route or an intent."""

    name: str
    posts: int
    expected: float
    bound: float
    is_spike: bool


@dataclass(frozen=True, slots=True)
class Surges:
    """Against how many `weeks` was looked; without two of them there are no hours and no rows.

    `rows` are those of the running hour that have posts, spikes first.
    """

    weeks: int
    hours: tuple[Hour, ...] = ()
    rows: tuple[Surge, ...] = ()

    @property
    def spikes(self) -> tuple[str, ...]:
        """The rows of the running hour that are out of the ordinary."""
        return tuple(row.name for row in self.rows if row.is_spike)


def _counts(tally: Tally, name: str) -> int:
    if name == ALL:
        return tally.posts
    return (tally.routes if name in ROUTES else tally.intents).get(name, 0)


def find_surges(connection: Connection, now: datetime) -> Surges:
    """The last hours and the running one against the same hours of up to four weeks before."""
    began = first_at(connection, Filter())
    running = int(now.timestamp()) // HOUR_S
    first = running - HOURS + 1
    known = now - (began or now)
    weeks = min(WEEKS, (known - timedelta(hours=HOURS)) // timedelta(weeks=1)) if began else 0
    if weeks < 2:
        return Surges(max(0, weeks))
    spans = []
    for week in range(weeks + 1):
        at = first - week * 168
        since, until = (datetime.fromtimestamp(step * HOUR_S, UTC) for step in (at, at + HOURS))
        found = tallies_by_step(connection, Filter(since=since, until=until), step_s=HOUR_S)
        spans.append([found.get(at + hour, Tally()) for hour in range(HOURS)])
    passed = max(1, int(now.timestamp()) - running * HOUR_S) / HOUR_S
    return Surges(weeks, _hours(spans, first, passed), _rows(spans, passed))


def _hours(spans: list[list[Tally]], first: int, passed: float) -> tuple[Hour, ...]:
    counts = np.array([[tally.posts for tally in span] for span in spans], dtype=np.int64)
    elapsed = np.append(np.ones(HOURS - 1), passed)
    found = find_spikes(counts[0], counts[1:].T, elapsed=elapsed, false_alarm=FALSE_ALARM)
    return tuple(
        Hour(
            datetime.fromtimestamp((first + hour) * HOUR_S, UTC),
            int(counts[0, hour]),
            float(found.expected[hour]),
            float(found.bound[hour]),
            bool(found.is_spike[hour]),
        )
        for hour in range(HOURS)
    )


def _rows(spans: list[list[Tally]], passed: float) -> tuple[Surge, ...]:
    last = [span[-1] for span in spans]
    names = [ALL, *ROUTES, *sorted({intent for tally in last for intent in tally.intents})]
    counts = np.array([[_counts(tally, name) for tally in last] for name in names], dtype=np.int64)
    rate = FALSE_ALARM / len(names)
    found = find_spikes(counts[:, 0], counts[:, 1:], elapsed=np.full(len(names), passed), false_alarm=rate)
    rows = [
        Surge(name, int(counts[place, 0]), float(found.expected[place]), float(found.bound[place]), bool(is_spike))
        for place, (name, is_spike) in enumerate(zip(names, found.is_spike, strict=True))
        if counts[place, 0]
    ]
    return tuple(sorted(rows, key=lambda row: (not row.is_spike, -row.posts)))


@dataclass(frozen=True, slots=True)
class Alike:
    """Posts that say nearly the same, with the newest of them, `None` where its text has been deleted."""

    cluster: Cluster
    newest: KeptPost | None


def find_alike(connection: Connection, now: datetime) -> tuple[Alike, ...]:
    """The largest clusters of the last day."""
    found = clusters(connection, Filter(since=now - CLUSTER_SPAN), least=LEAST_OF_CLUSTER, most=MOST_CLUSTERS)
    return tuple(Alike(each, find_post(connection, each.prediction_id)) for each in found)
