"""Posts over months as the crisis brake counts them: from the demo's feed, more or less even, and crises put into it.

Sensitive is what the corpus labels so, and what says nearly the same is told by the journal's own measure. No model is
asked.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np

from data.rendering import render
from data.sources import read_labelled
from data.splits import load_splits
from evaluation.predictions import BoolArray, IntArray
from models.calibration import FloatArray
from serving.brake import Counts
from serving.journal.facets import Clusters
from serving.likeness import words_of
from serving.workbench.demo.feed import feed_of
from serving.workbench.demo.filling import HELD_OUT

CORPUS = Path("data/corpus")
BEGAN = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday; the seconds of all streams are counted from here."""
MONTH = timedelta(days=30)
NO_CLUSTER, CRISIS = -1, -2
"""Beside the numbers of clusters, which begin at 0."""
_HOUR_S = 3_600.0
_LATER_S = 600.0
"""Within which what an uneven hour brings more comes, as replies and copies do."""
_MOST_CLUSTERS = 5
"""As the journal is asked."""


def time_at(seconds: float) -> datetime:
    """The time so long after the beginning."""
    return BEGAN + timedelta(seconds=seconds)


def seconds_at(when: datetime) -> float:
    """How long after the beginning it is."""
    return (when - BEGAN).total_seconds()


@dataclass(frozen=True, eq=False)
class Stream:
    """Posts in their order, `[n]` each: when they came, in seconds, whether they are sensitive, and of what cluster."""

    times_s: FloatArray
    sensitive: BoolArray
    cluster: IntArray

    @cached_property
    def sensitive_s(self) -> FloatArray:
        """When the sensitive ones came."""
        return self.times_s[self.sensitive]

    @cached_property
    def of_cluster_s(self) -> Mapping[int, FloatArray]:
        """When those of each cluster came."""
        order = np.argsort(self.cluster, kind="stable")
        names, first = np.unique(self.cluster[order], return_index=True)
        parts = np.split(self.times_s[order], first[1:])
        return {int(name): part for name, part in zip(names, parts, strict=True) if name != NO_CLUSTER}


def _count(times: list[float], since: datetime, until: datetime) -> int:
    return bisect_left(times, seconds_at(until)) - bisect_left(times, seconds_at(since))


class StreamCounts:
    """A stream as the brake counts it (`serving.brake.Counts`)."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._all: list[float] = stream.times_s.tolist()
        self._sensitive: list[float] = stream.sensitive_s.tolist()
        self._of_cluster: dict[int, list[float]] = {}

    def began(self) -> datetime | None:
        """When the first of all may have come."""
        return BEGAN

    def any(self, since: datetime, until: datetime) -> bool:
        """Whether any came."""
        return _count(self._all, since, until) > 0

    def sensitive(self, since: datetime, until: datetime) -> int:
        """How many sensitive ones came."""
        return _count(self._sensitive, since, until)

    def clusters(self, since: datetime, until: datetime, only: Collection[str] | None = None) -> Mapping[str, int]:
        """How many came of the largest clusters, or of `only` those."""
        if only is not None:
            return {name: _count(self._times_of(int(name)), since, until) for name in only}
        first, last = (bisect_left(self._all, seconds_at(each)) for each in (since, until))
        found = Counter(self._stream.cluster[first:last].tolist())
        del found[NO_CLUSTER]
        return {str(name): posts for name, posts in found.most_common(_MOST_CLUSTERS)}

    def _times_of(self, name: int) -> list[float]:
        if name not in self._of_cluster:
            self._of_cluster[name] = self._stream.of_cluster_s.get(name, np.empty(0)).tolist()
        return self._of_cluster[name]


class Both:
    """A feed and a crisis counted together; the crisis has a cluster of its own."""

    def __init__(self, feed: Counts, crisis: Counts) -> None:
        self._parts = feed, crisis

    def began(self) -> datetime | None:
        """When the first of all may have come."""
        return BEGAN

    def any(self, since: datetime, until: datetime) -> bool:
        """Whether any came."""
        return any(part.any(since, until) for part in self._parts)

    def sensitive(self, since: datetime, until: datetime) -> int:
        """How many sensitive ones came."""
        return sum(part.sensitive(since, until) for part in self._parts)

    def clusters(self, since: datetime, until: datetime, only: Collection[str] | None = None) -> Mapping[str, int]:
        """How many came of the largest clusters, or of `only` those."""
        feed, crisis = (part.clusters(since, until, only) for part in self._parts)
        return {name: feed.get(name, 0) + crisis.get(name, 0) for name in {**feed, **crisis}}


def draw_stream(posts_a_month: int, months: float) -> Stream:
    """What the demo's feed brings without its outage and its campaign."""
    posts = read_labelled(CORPUS).posts
    splits = load_splits(CORPUS / "splits.json", posts)
    held_out = [post for name in HELD_OUT for post in splits.part(name)]
    routes = {post.id: post.route for post in held_out}
    feed = feed_of(held_out, (), posts_per_week=posts_a_month * (timedelta(weeks=1) / MONTH), campaign_from=BEGAN)
    clusters, of_words, numbers = Clusters(), dict[str, int](), dict[str | None, int]({None: NO_CLUSTER})
    found: list[tuple[float, bool, int]] = []
    for arrival in feed.between(BEGAN, BEGAN + months * MONTH):
        words = words_of(arrival.post.text)
        if words not in of_words:
            name = clusters.of(render(arrival.post).text)
            of_words[words] = numbers.setdefault(name, len(numbers) - 1)
        source = (arrival.post.id or "").partition("/")[0]
        found.append((seconds_at(arrival.received_at), routes[source] == "sensitive", of_words[words]))
    times, sensitive, cluster = zip(*found, strict=True)
    return Stream(np.array(times), np.array(sensitive, dtype=np.bool_), np.array(cluster, dtype=np.int64))


def make_uneven(stream: Stream, spread: float, draw: np.random.Generator) -> Stream:
    """The stream whose hours bring more or less than they should, by a log-normal factor of that spread and mean 1.

    What an hour brings more comes within ten minutes of what it repeats, sensitive or not and in the same words.
    """
    hours = (stream.times_s // _HOUR_S).astype(np.int64)
    factors = np.exp(draw.normal(-(spread**2) / 2, spread, size=hours.max() + 1))[hours]
    copies = np.floor(factors + draw.random(len(hours))).astype(np.int64)
    again = np.repeat(np.arange(len(hours)), copies)
    is_first = np.concatenate([[True], again[1:] != again[:-1]])
    times = stream.times_s[again] + np.where(is_first, 0.0, draw.random(len(again)) * _LATER_S)
    order = np.argsort(times, kind="stable")
    return Stream(times[order], stream.sensitive[again][order], stream.cluster[again][order])


def draw_crisis(
    began_s: float, lasts_s: float, posts_a_minute: float, *, sensitive: bool, draw: np.random.Generator
) -> Stream:
    """So many posts a minute (Poisson) that are sensitive, or that say nearly the same."""
    posts = draw.poisson(posts_a_minute * lasts_s / 60)
    times = np.sort(began_s + draw.random(posts) * lasts_s)
    return Stream(times, np.full(posts, sensitive), np.full(posts, NO_CLUSTER if sensitive else CRISIS))
