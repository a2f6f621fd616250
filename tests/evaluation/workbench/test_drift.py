"""Drift and spikes: false alarms at the rate that is stated, planted changes found and named, and odd input refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from evaluation.predictions import IntArray
from evaluation.workbench.drift import Drift, Sample, look_for_drift, stability_index
from evaluation.workbench.spikes import dispersion_of, find_spikes

ROUTES = ("simple", "complex", "sensitive")
WORDS = ("parcel", "late", "thanks", "where", "refund", "store", "driver", "app", "order", "again")


def sample(
    random: np.random.Generator, posts: int, mix: tuple[float, ...] = (0.5, 0.4, 0.1), new: float = 0.0
) -> Sample:
    """Posts of six words out of ten, of routes by `mix`; a share `new` of them speaks of something never heard of."""
    texts = [" ".join(random.choice(WORDS, size=6)) for _ in range(posts)]
    texts = [f"{text} strike" if random.uniform() < new else text for text in texts]
    return Sample(
        texts,
        {
            "route": [ROUTES[place] for place in random.choice(3, size=posts, p=mix)],
            "platform": [("x", "facebook")[place] for place in random.integers(2, size=posts)],
        },
    )


def test_without_drift_an_alarm_is_as_rare_as_stated() -> None:
    random = np.random.default_rng(41)
    streams, rate = 100, 0.1
    alarms = sum(
        look_for_drift(sample(random, 60), sample(random, 80), false_alarm=rate, seed=number).alarm
        for number in range(streams)
    )
    assert alarms <= binom.ppf(0.999, streams, rate)


def drift_to(**more: object) -> Drift:
    random = np.random.default_rng(42)
    return look_for_drift(sample(random, 400), sample(random, 400, **more))  # type: ignore[arg-type]  # mix or new


def test_a_new_mix_of_labels_is_found_and_named() -> None:
    drift = drift_to(mix=(0.3, 0.4, 0.3))
    first = drift.shifts[0]
    assert drift.alarm
    assert (first.facet, first.alarm) == ("route", True)
    assert first.moved in ("simple", "sensitive")
    assert [shift.alarm for shift in drift.shifts] == [True, False]
    assert not drift.told.alarm


def test_a_new_subject_is_found_and_its_word_named() -> None:
    drift = drift_to(new=0.3)
    assert drift.told.alarm
    assert drift.told.new[0] == "strike"
    assert drift.told.auc > 0.58
    assert not any(shift.alarm for shift in drift.shifts)


def test_posts_that_come_again_do_not_hide_a_new_subject() -> None:
    random = np.random.default_rng(47)
    letters = list("bcdfghklmnprstvwz")
    vocabulary = ["".join(random.choice(letters, size=6)) for _ in range(300)]
    then = [" ".join(random.choice(vocabulary, size=8)) for _ in range(600)]
    again = [f"{text} {number}" for number, text in enumerate(then[:400])]
    new = [f"strike {' '.join(random.choice(vocabulary, size=7))}" for _ in range(150)]
    told = look_for_drift(Sample(then, {}), Sample([*again, *new], {})).told
    assert told.alarm
    assert told.auc > 0.55
    assert told.new[0] == "strike"


def test_the_same_posts_again_are_no_drift() -> None:
    texts = sample(np.random.default_rng(48), 40).texts
    told = look_for_drift(Sample(texts, {}), Sample(texts, {})).told
    assert told.auc == pytest.approx(0.5, abs=0.15)
    assert not told.alarm


def test_the_same_samples_give_the_same_answer() -> None:
    assert drift_to(new=0.1) == drift_to(new=0.1)


def test_a_word_that_only_two_people_wrote_is_never_shown() -> None:
    random = np.random.default_rng(43)
    now = sample(random, 100)
    texts = [f"{text} zzyzx" if place < 2 else text for place, text in enumerate(now.texts)]
    told = look_for_drift(sample(random, 100), Sample(texts, now.facets)).told
    assert "zzyzx" not in (*told.new, *told.gone)


def test_texts_without_a_common_word_tell_nothing() -> None:
    one, other = (Sample([f"{name}{number}" for number in range(20)], {}) for name in "ab")
    drift = look_for_drift(one, other)
    assert (drift.told.auc, drift.told.p_value, drift.alarm) == (0.5, 1.0, False)


counts = st.lists(st.integers(0, 500), min_size=3, max_size=3).map(np.array)


@given(counts, counts)
def test_the_stability_index_is_symmetric_and_nought_for_equal_shares(p: IntArray, q: IntArray) -> None:
    assert stability_index(p, q) == pytest.approx(stability_index(q, p))
    assert stability_index(p, q) >= 0
    assert stability_index(p, p) == 0


def test_the_stability_index_is_that_of_the_book() -> None:
    # Shares 0.5, 0.5 to 0.6, 0.4: 0.1 ln(1.2) - 0.1 ln(0.8) = 0.0405, and half a post in 100,000 changes nothing.
    assert stability_index(np.array([50_000, 50_000]), np.array([60_000, 40_000])) == pytest.approx(0.0405, abs=1e-4)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (Sample(["a"] * 19, {"route": ["simple"] * 19}), "got 20 posts of then and 19 of now. Wanted: at least 20"),
        (Sample(["a"] * 20, {}), "then has the facets ['route'], now []. Wanted: the same"),
        (Sample(["a"] * 20, {"route": ["simple"] * 21}), "facet route has 21 values for 20 texts. Wanted: one"),
    ],
)
def test_samples_that_cannot_be_compared_are_refused(now: Sample, said: str) -> None:
    with pytest.raises(ValueError, match="No drift was looked for") as refused:
        look_for_drift(Sample(["a"] * 20, {"route": ["simple"] * 20}), now)
    assert said in str(refused.value)


def ordinary(random: np.random.Generator, hours: int, weeks: int, spread: float, mean: float) -> IntArray:
    """Counts `[hours, weeks]` around `mean`, varying `spread` times as much as Poisson's (1: Poisson itself)."""
    if spread == 1:
        return random.poisson(mean, size=(hours, weeks))
    return random.negative_binomial(mean / (spread - 1), 1 / spread, size=(hours, weeks))


@pytest.mark.parametrize("weeks", [3, 8])
def test_hours_like_those_of_earlier_weeks_are_seldom_spikes(weeks: int) -> None:
    drawn = ordinary(np.random.default_rng(44), 20_000, weeks + 1, 1.0, 30.0)
    found = find_spikes(drawn[:, -1], drawn[:, :-1], false_alarm=0.01)
    assert found.is_spike.mean() <= 0.011


@pytest.mark.parametrize("mean", [4.0, 40.0])
def test_feeds_that_vary_more_than_poisson_are_given_more_room(mean: float) -> None:
    drawn = ordinary(np.random.default_rng(45), 20_000, 6, 3.0, mean)
    found = find_spikes(drawn[:, -1], drawn[:, :-1], false_alarm=0.01)
    assert found.dispersion == pytest.approx(3.0, abs=0.4)  # a mean of few weeks lies too near to them
    assert found.is_spike.mean() <= 0.016


def test_three_times_as_many_as_ever_is_a_spike_and_the_running_hour_is_judged_by_its_share() -> None:
    weeks = ordinary(np.random.default_rng(46), 168, 6, 1.0, 30.0)
    quarter = np.full(168, 0.25)
    assert find_spikes(np.full(168, 90), weeks).is_spike.all()
    assert find_spikes(np.full(168, 30), weeks, elapsed=quarter).is_spike.mean() > 0.9
    assert not find_spikes(np.full(168, 30), weeks).is_spike.any()
    assert find_spikes(np.full(168, 30), weeks, elapsed=quarter).expected == pytest.approx(weeks.mean(axis=1) / 4)


def test_four_posts_in_a_quiet_hour_call_nobody() -> None:
    weeks = np.zeros((2, 4), dtype=np.int64)
    assert find_spikes(np.array([4, 9]), weeks).is_spike.tolist() == [False, True]


@given(st.integers(2, 6), st.integers(1, 5))
def test_counts_that_do_not_vary_are_called_poisson(weeks: int, hours: int) -> None:
    assert dispersion_of(np.full((hours, weeks), 7)) == 1.0


@pytest.mark.parametrize(
    ("counts", "weeks", "elapsed", "rate"),
    [
        (np.array([3]), np.array([[3]]), None, 0.01),
        (np.array([3, 4]), np.array([[3, 4]]), None, 0.01),
        (np.array([-3]), np.array([[3, 4]]), None, 0.01),
        (np.array([3]), np.array([[3, 4]]), np.array([0.0]), 0.01),
        (np.array([3]), np.array([[3, 4]]), None, 1.0),
    ],
)
def test_counts_that_make_no_sense_are_refused(
    counts: IntArray, weeks: IntArray, elapsed: np.ndarray[tuple[int], np.dtype[np.float64]] | None, rate: float
) -> None:
    with pytest.raises(ValueError, match=r"No spike was looked for: .*(Wanted|Correct)"):
        find_spikes(counts, weeks, elapsed=elapsed, false_alarm=rate)
