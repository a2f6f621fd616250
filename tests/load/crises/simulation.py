"""The rule of `serving.brake` over a stream of posts: when it would have held, and how soon it sees a crisis."""

from dataclasses import dataclass

import numpy as np

from evaluation.predictions import IntArray
from models.calibration import FloatArray
from serving.brake import RELEASED, Bounds, Brake, look, step
from serving.braking import LOOK_EVERY_S
from tests.load.crises.streams import Both, Stream, StreamCounts, draw_crisis, seconds_at, time_at

DAY_S = 86_400.0
KNOWN_AFTER_S = 28 * DAY_S
"""From here on four earlier weeks are known."""
_MINUTE_S = 60.0
_CRISIS_LASTS_S = 7_200.0


@dataclass(frozen=True, slots=True)
class Hold:
    """The brake held: since when and until when, in seconds, and why."""

    since_s: float
    until_s: float
    cause: str


@dataclass(frozen=True, slots=True)
class Delay:
    """When after a crisis began the brake took hold, `None` where it did not, and how many posts of it had come."""

    seconds: float | None
    posts: int


def _came(times: FloatArray, looks: FloatArray, window_s: float) -> IntArray:
    return np.asarray(np.searchsorted(times, looks) - np.searchsorted(times, looks - window_s))


def _looks(times: FloatArray) -> FloatArray:
    """The looks that are the first after a post."""
    return np.asarray(np.unique(np.ceil(times / LOOK_EVERY_S) * LOOK_EVERY_S))


def _moments(times: FloatArray, least: int, window_s: float) -> FloatArray:
    """The looks at which at least so many came within the window: those after a post, and every minute after them."""
    looks = _looks(times)
    looks = looks[_came(times, looks, window_s) >= least]
    later = np.unique(looks[:, None] + np.arange(0.0, window_s + 1, _MINUTE_S))
    return np.asarray(later[_came(times, later, window_s) >= least])


def _let_go(brake: Brake, at_s: float, bounds: Bounds, holds: list[Hold]) -> Brake:
    """The brake as it is by then where nothing was over the bounds since it was looked at: it may have let go."""
    if brake.since is None or brake.over_at is None or time_at(at_s) < brake.over_at + bounds.quiet:
        return brake
    end = brake.over_at + bounds.quiet
    holds.append(Hold(seconds_at(brake.since), seconds_at(end), brake.cause))
    return step(brake, (), end, bounds)


def find_holds(stream: Stream, bounds: Bounds) -> list[Hold]:
    """When the brake would have held, looking every five seconds."""
    window_s, counts = bounds.window.total_seconds(), StreamCounts(stream)
    looks = [_moments(stream.sensitive_s, bounds.least_sensitive_posts, window_s)]
    looks += [_moments(times, bounds.least_cluster_posts, window_s) for times in stream.of_cluster_s.values()]
    brake, holds = RELEASED, list[Hold]()
    for at_s in np.unique(np.concatenate(looks)).tolist():
        brake = _let_go(brake, at_s, bounds, holds)
        brake = step(brake, look(counts, time_at(at_s), bounds), time_at(at_s), bounds)
    _let_go(brake, float(stream.times_s[-1]) + DAY_S, bounds, holds)
    return holds


def find_delays(
    stream: Stream, bounds: Bounds, posts_a_minute: float, *, sensitive: bool, crises: int, draw: np.random.Generator
) -> list[Delay]:
    """How soon the brake takes hold in crises of two hours that begin at any time after the fourth week."""
    feed, found = StreamCounts(stream), []
    for _ in range(crises):
        began_s = draw.uniform(KNOWN_AFTER_S, stream.times_s[-1] - _CRISIS_LASTS_S)
        crisis = draw_crisis(began_s, _CRISIS_LASTS_S, posts_a_minute, sensitive=sensitive, draw=draw)
        counts = Both(feed, StreamCounts(crisis))
        over = (
            at_s
            for at_s in _looks(crisis.times_s).tolist()
            if any(sight.over for sight in look(counts, time_at(at_s), bounds))
        )
        held_s = next(over, None)
        came = len(crisis.times_s) if held_s is None else int(np.searchsorted(crisis.times_s, held_s))
        found.append(Delay(None if held_s is None else held_s - began_s, came))
    return found
