"""The crisis brake: when many posts say nearly the same, or far more are sensitive than usual, no machine answers.

Pure: what was seen of late goes in, whether the brake holds comes out. It lets go by itself once nothing over the
bounds was seen for a quiet time, or by hand; one that was pulled by hand lets go by hand alone. Owns the bounds; what
is seen is asked of the journal elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import sqrt


@dataclass(frozen=True, slots=True)
class Bounds:
    """When the brake takes hold and lets go.

    Of a cluster, or of sensitive posts, at least so many must come within the window, however quiet it usually is;
    above that it takes twice what is usual and four standard deviations of a count more (Poisson: its root).
    """

    window: timedelta = timedelta(minutes=15)
    least_cluster_posts: int = 25
    least_sensitive_posts: int = 10
    quiet: timedelta = timedelta(minutes=30)


BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Sight:
    """What came within the window: how many posts, how many usually do, and how many it takes at least."""

    what: str
    posts: int
    usual: float
    least: int

    @property
    def over(self) -> bool:
        """True where it is so many that the brake must hold."""
        return self.posts >= max(self.least, 2 * self.usual + 4 * sqrt(self.usual))


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
