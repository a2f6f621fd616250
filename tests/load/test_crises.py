"""The simulation of the crisis brake: it holds in a crisis alone, lets go, and says how soon it took hold."""

import numpy as np
import pytest

from serving.brake import BOUNDS
from tests.load.crises.simulation import DAY_S, KNOWN_AFTER_S, find_delays, find_holds
from tests.load.crises.streams import NO_CLUSTER, Stream, draw_crisis, make_uneven

DAYS = 35


def quiet() -> Stream:
    """A post every ten minutes, of which each tenth is sensitive."""
    times = np.arange(0.0, DAYS * DAY_S, 600.0)
    return Stream(times, np.arange(len(times)) % 10 == 0, np.full(len(times), NO_CLUSTER))


def joined(one: Stream, other: Stream) -> Stream:
    times = np.concatenate([one.times_s, other.times_s])
    order = np.argsort(times)
    sensitive = np.concatenate([one.sensitive, other.sensitive])
    cluster = np.concatenate([one.cluster, other.cluster])
    return Stream(times[order], sensitive[order], cluster[order])


@pytest.mark.parametrize(("sensitive", "words"), [(True, "sensitive posts"), (False, "nearly the same")])
def test_it_holds_from_the_posts_that_are_too_many_until_half_an_hour_after_them(sensitive: bool, words: str) -> None:
    assert find_holds(quiet(), BOUNDS) == []
    began_s = KNOWN_AFTER_S + 43.0
    crisis = draw_crisis(began_s, 3_600.0, 4.0, sensitive=sensitive, draw=np.random.default_rng(1))
    (hold,) = find_holds(joined(quiet(), crisis), BOUNDS)
    assert words in hold.cause
    assert began_s < hold.since_s <= crisis.times_s[15] + 5
    window_s, quiet_s = BOUNDS.window.total_seconds(), BOUNDS.quiet.total_seconds()
    assert crisis.times_s[-1] - window_s < hold.until_s - quiet_s <= crisis.times_s[-1] + window_s


def test_on_the_first_day_it_sees_nothing() -> None:
    crisis = draw_crisis(3_600.0, 3_600.0, 4.0, sensitive=True, draw=np.random.default_rng(1))
    assert find_holds(joined(quiet(), crisis), BOUNDS) == []


def test_the_more_comes_the_sooner_it_is_seen_and_too_little_is_not() -> None:
    found = [
        find_delays(quiet(), BOUNDS, rate, sensitive=False, crises=3, draw=np.random.default_rng(1))
        for rate in (0.1, 2.0, 20.0)
    ]
    assert [each.seconds for each in found[0]] == [None] * 3
    medians = [np.median([each.seconds or 0.0 for each in some]) for some in found[1:]]
    assert 0 < medians[1] < medians[0] < 1_800
    assert all(each.posts >= BOUNDS.least_cluster_posts for some in found[1:] for each in some)


def test_uneven_hours_bring_as_many_posts_and_keep_what_they_are() -> None:
    uneven = make_uneven(quiet(), 0.5, np.random.default_rng(1))
    assert 0.9 < len(uneven.times_s) / len(quiet().times_s) < 1.1
    assert np.all(np.diff(uneven.times_s) >= 0)
    assert 0.08 < uneven.sensitive.mean() < 0.12
    by_hour = [np.bincount((each.times_s // 3_600).astype(int)).std() for each in (quiet(), uneven)]
    assert by_hour[1] > by_hour[0] + 1
