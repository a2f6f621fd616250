"""The crisis brake: when many posts say nearly the same, or far more are sensitive than usual, no machine answers.

Pure: counts of posts go in, whether the brake holds comes out. It lets go by itself once nothing over the bounds was
seen for a quiet time, or by hand; one that was pulled by hand lets go by hand alone. Owns the bounds and what is usual;
the posts are counted elsewhere.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import sqrt
from typing import Protocol

_DAY, _WEEK = timedelta(days=1), timedelta(weeks=1)
WEEKS = 4
"""How many weeks back the same time is looked at."""
_DAYS = 6
"""Likewise days, where the journal is younger than a week."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """When the brake takes hold and lets go.

    Of a cluster, or of sensitive posts, at least so many must come within the window, however quiet it usually is;
    above that it takes so many `times` what is usual and so many `deviations` of a count more (Poisson: its root).
    Usual is the mean of earlier weeks, of the window and what lies within the `margin` before and after it. Chosen by
    simulation (`python -m tests.load.crises`, docs/workbench.md).
    """

    window: timedelta = timedelta(minutes=15)
    least_cluster_posts: int = 15
    least_sensitive_posts: int = 15
    times: float = 3.0
    deviations: float = 6.0
    margin: timedelta = timedelta(hours=1)
    quiet: timedelta = timedelta(minutes=30)

    def most(self, usual: float, least: int) -> float:
        """From how many posts on it takes hold where `usual` ones are usual."""
        return max(least, self.times * usual + self.deviations * sqrt(usual))


BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Sight:
    """What came within the window: how many posts, how many usually do, and from how many on it is too much."""

    what: str
    posts: int
    usual: float
    most: float

    @property
    def over(self) -> bool:
        """True where it is so many that the brake must hold."""
        return self.posts >= self.most


@dataclass(frozen=True, slots=True)
class Brake:
    """Whether it holds: since when, why, and when something over the bounds was seen last.

    One held `by_hand` is not let go by anything that is seen.
    """

    since: datetime | None = None
    cause: str = ""
    over_at: datetime | None = None
    by_hand: bool = False

    @property
    def engaged(self) -> bool:
        """True while a machine answers nothing."""
        return self.since is not None

    @property
    def words(self) -> str:
        """Why it holds, and that somebody holds it where somebody does."""
        return f"held by hand: {self.cause}" if self.by_hand else self.cause


RELEASED = Brake()


def step(brake: Brake, sights: Sequence[Sight], now: datetime, bounds: Bounds) -> Brake:
    """The brake after what was seen at that time. The first thing over its bound is the cause as long as it holds."""
    if brake.by_hand:
        return brake
    found = next((sight for sight in sights if sight.over), None)
    if found is not None and brake.engaged:
        return replace(brake, over_at=now)
    if found is not None:
        minutes = bounds.window.total_seconds() / 60
        cause = f"{found.posts} {found.what} within {minutes:.0f} minutes, usually {found.usual:.1f}"
        return Brake(since=now, cause=cause, over_at=now)
    if brake.engaged and brake.over_at is not None and now - brake.over_at >= bounds.quiet:
        return RELEASED
    return brake


class Counts(Protocol):
    """Posts that were decided, counted from a time on and before another."""

    def began(self) -> datetime | None:
        """When the first of all came."""

    def any(self, since: datetime, until: datetime) -> bool:
        """Whether any came."""

    def sensitive(self, since: datetime, until: datetime) -> int:
        """How many sensitive ones came."""

    def clusters(self, since: datetime, until: datetime, only: Collection[str] | None = None) -> Mapping[str, int]:
        """How many came of the largest clusters, or of `only` those."""


def look(counts: Counts, at: datetime, bounds: Bounds, *, since: datetime | None = None) -> tuple[Sight, ...]:
    """What came within the window before that time, from `since` on, and is enough to ask whether it is usual.

    Nothing on the first day of a journal, which knows nothing that is usual.
    """
    begin = max(at - bounds.window, since or at - bounds.window)
    came = {name: posts for name, posts in counts.clusters(begin, at).items() if posts >= bounds.least_cluster_posts}
    sensitive = counts.sensitive(begin, at)
    if not came and sensitive < bounds.least_sensitive_posts:
        return ()
    spans = _spans_before(counts, begin, at, bounds.margin)
    if spans is None:
        return ()
    share = (at - begin) / (at - begin + 2 * bounds.margin)

    def usual(found: Sequence[int]) -> float:
        return share * sum(found) / max(1, len(found))

    sights = []
    if sensitive >= bounds.least_sensitive_posts:
        of_them = usual([counts.sensitive(*span) for span in spans])
        sights.append(Sight("sensitive posts", sensitive, of_them, bounds.most(of_them, bounds.least_sensitive_posts)))
    before = [counts.clusters(*span, only=came) for span in spans] if came else []
    for name, posts in came.items():
        of_it = usual([each.get(name, 0) for each in before])
        what = f"posts that say nearly the same (cluster {name})"
        sights.append(Sight(what, posts, of_it, bounds.most(of_it, bounds.least_cluster_posts)))
    return tuple(sights)


def _spans_before(
    counts: Counts, since: datetime, until: datetime, margin: timedelta
) -> list[tuple[datetime, datetime]] | None:
    """The same span of earlier weeks with its margins, else of earlier days, of those in which there are posts.

    `None` where the journal does not reach back so far.
    """
    began = counts.began()
    for step, most in ((_WEEK, WEEKS), (_DAY, _DAYS)):
        spans = [(since - n * step - margin, until - n * step + margin) for n in range(1, most + 1)]
        known = [span for span in spans if began is not None and began <= span[0]]
        if known:
            return [span for span in known if counts.any(*span)]
    return None
