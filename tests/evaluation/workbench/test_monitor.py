"""The risk monitor: false alarms under the worst stopping rule, its delay, its intervals, and reading by chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from evaluation.predictions import BoolArray
from evaluation.workbench.monitor import answers_to_alarm, reads_to_show, risk_sequence
from models.calibration import FloatArray
from models.promise import watch

STREAMS = 1_000
Stream = tuple[BoolArray, BoolArray, FloatArray]


def stream(random: np.random.Generator, answers: int, risk: float, chances: tuple[float, ...] = (1.0,)) -> Stream:
    """Automatic answers, each wrong with `risk`, each drawn with one of the chances, which are known before."""
    probability = random.choice(chances, size=answers)
    drawn = random.uniform(size=answers) < probability
    return (random.uniform(size=answers) < risk) & drawn, drawn, probability


def false_alarms(risk: float, answers: int, chances: tuple[float, ...], seed: int) -> int:
    random = np.random.default_rng(seed)
    return sum(watch(*stream(random, answers, risk, chances), promise=risk).alarm for _ in range(STREAMS))


MOST_FALSE_ALARMS = int(binom.ppf(0.999, STREAMS, 0.05))
"""Of 1,000 streams at a true rate of 5 %: more would be seen once in a thousand times."""


@pytest.mark.parametrize(
    ("risk", "chances"),
    [(0.02, (1.0,)), (0.1, (1.0,)), (0.02, (0.1,)), (0.1, (0.05, 0.3, 1.0)), (0.4, (0.5, 1.0))],
    ids=["2 %, all read", "10 %, all read", "2 %, a tenth read", "10 %, three chances", "40 %, two chances"],
)
def test_whoever_stops_when_it_suits_best_sees_no_more_false_alarms_than_promised(
    risk: float, chances: tuple[float, ...]
) -> None:
    assert false_alarms(risk, 2_000, chances, seed=31) <= MOST_FALSE_ALARMS


def delays(risk: float, promise: float, answers: int, chances: tuple[float, ...]) -> FloatArray:
    """How many answers were read until the alarm, infinite without one, in each of 300 streams."""
    random = np.random.default_rng(32)
    found = []
    for _ in range(300):
        wrong, drawn, probability = stream(random, answers, risk, chances)
        at = watch(wrong, drawn, probability, promise=promise).alarm_at
        found.append(np.inf if at is None else drawn[: at + 1].sum())
    return np.array(found, dtype=np.float64)


def test_twice_the_promised_risk_is_seen_after_a_few_hundred_answers() -> None:
    found = delays(0.2, 0.1, 1_500, (1.0,))
    assert np.isfinite(found).mean() > 0.95
    assert 50 < np.median(found) < 250


def test_reading_a_tenth_by_chance_costs_hardly_more_reading_than_reading_all() -> None:
    all_read, tenth = np.median(delays(0.2, 0.1, 1_500, (1.0,))), np.median(delays(0.2, 0.1, 12_000, (0.1,)))
    assert tenth < 1.3 * all_read


@pytest.mark.parametrize("risk", [0.02, 0.15])
def test_the_intervals_hold_the_risk_at_all_places_at_once(risk: float) -> None:
    random = np.random.default_rng(33)
    missed = 0
    for _ in range(200):
        found = risk_sequence(*stream(random, 1_000, risk, (0.5, 1.0)), points=40)
        missed += bool(((found.low > risk) | (found.high < risk)).any())
    assert missed <= binom.ppf(0.999, 200, 0.05)


def test_without_an_error_the_risk_is_soon_bounded() -> None:
    nothing = np.zeros(800, dtype=np.bool_)
    found = risk_sequence(nothing, ~nothing, np.ones(800))
    assert found.low[-1] == 0
    assert found.estimate[-1] == 0
    # A single look at 800 posts without an error proves 0.37 %; looking all the time costs a little more than twice.
    assert 0.0037 < found.high[-1] < 0.009
    assert (np.diff(found.high) <= 0).all()


def test_whoever_reads_on_until_the_share_is_shown_is_wrong_no_more_often_than_promised() -> None:
    random = np.random.default_rng(34)
    shown = sum(stopped(*stream(random, 1_500, 0.05, (1.0,)), wanted=0.05) for _ in range(300))
    assert shown <= binom.ppf(0.999, 300, 0.05)


def stopped(wrong: BoolArray, drawn: BoolArray, probability: FloatArray, *, wanted: float) -> bool:
    """Whether the words "read so many more" lead somebody who follows them to a place where the share is shown."""
    place = 0
    while place <= len(wrong):
        more = reads_to_show(wrong[:place], drawn[:place], probability[:place], wanted=wanted)
        if more == 0:
            return True
        place += more or len(wrong) + 1
    return False


@pytest.mark.parametrize("errors", [0, 1, 4])
def test_so_many_more_right_answers_show_the_share_and_one_less_does_not(errors: int) -> None:
    wrong = np.arange(60) < errors
    more = reads_to_show(wrong, np.ones(60, dtype=np.bool_), np.ones(60), wanted=0.01)
    assert more
    for reads, shown in ((more - 1, False), (more, True)):
        events = np.arange(60 + reads) < errors
        found = risk_sequence(events, np.ones(60 + reads, dtype=np.bool_), np.ones(60 + reads), points=2)
        assert (found.high[-1] <= 0.01) == shown


def test_without_an_error_478_answers_show_one_percent_to_who_looks_all_the_time() -> None:
    nothing = np.zeros(0, dtype=np.bool_)
    assert reads_to_show(nothing, nothing, np.zeros(0), wanted=0.01) == 478
    assert reads_to_show(nothing, nothing, np.zeros(0), wanted=1e-7) is None


@pytest.mark.parametrize("wanted", [0.0, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(wanted: float) -> None:
    nothing = np.zeros(0, dtype=np.bool_)
    with pytest.raises(ValueError, match="Nothing was counted"):
        reads_to_show(nothing, nothing, np.zeros(0), wanted=wanted)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from((0.2, 1.0))), min_size=1, max_size=60))
def test_the_intervals_always_hold_their_estimate(answers: list[tuple[bool, bool, float]]) -> None:
    wrong, drawn, probability = (np.array(column) for column in zip(*answers, strict=True))
    found = risk_sequence(wrong, drawn, probability)
    assert (found.low <= found.estimate).all()
    assert (found.estimate <= found.high).all()
    assert found.places[-1] == len(answers)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=80), st.floats(0.005, 0.9), st.integers(0, 79))
def test_one_more_error_never_lowers_the_suspicion(wrong: list[bool], promise: float, place: int) -> None:
    ones, read = np.ones(len(wrong)), np.ones(len(wrong), dtype=np.bool_)
    worse = np.array(wrong)
    worse[place % len(wrong)] = True
    before, after = (watch(each, read, ones, promise=promise).log_e for each in (np.array(wrong), worse))
    assert (after >= before - 1e-9).all()


@given(st.floats(0.01, 0.9), st.floats(0.05, 1.0))
def test_an_answer_is_expected_to_win_nothing_at_the_promised_risk(risk: float, chance: float) -> None:
    """The property on which all rests: after one answer at exactly the promised risk, the expected capital is 1."""
    one, none = np.array([True]), np.array([False])
    won = np.exp(watch(one, one, np.array([chance]), promise=risk).log_e[0])
    lost = np.exp(watch(none, one, np.array([chance]), promise=risk).log_e[0])
    assert chance * risk * won + (1 - chance * risk) * lost == pytest.approx(1.0)


def test_what_was_not_drawn_does_not_count_however_wrong_it_is() -> None:
    wrong, drawn = np.ones(50, dtype=np.bool_), np.zeros(50, dtype=np.bool_)
    assert not watch(wrong, drawn, np.full(50, 0.5), promise=0.1).alarm


def test_an_alarm_says_where_and_stays() -> None:
    wrong = np.array([True] * 10 + [False] * 500)
    found = watch(wrong, np.ones(510, dtype=np.bool_), np.ones(510), promise=0.1)
    assert found.alarm_at is not None
    assert found.alarm_at < 10
    assert found.log_e[found.alarm_at] >= np.log(20) > found.log_e[found.alarm_at - 1]
    assert found.log_e[-1] < np.log(20)
    assert found.alarm


NONE, ONE = np.array([False]), np.array([1.0])


def test_no_answers_are_no_alarm() -> None:
    nothing = np.zeros(0, dtype=np.bool_)
    assert not watch(nothing, nothing, np.zeros(0), promise=0.1).alarm
    assert len(risk_sequence(nothing, nothing, np.zeros(0)).places) == 0


@pytest.mark.parametrize(
    ("probability", "promise", "confidence", "said"),
    [
        (np.ones(2), 0.1, 0.95, "got 1 verdicts, 1 draws and 2 probabilities. Wanted one of each"),
        (np.array([0.0]), 0.1, 0.95, "1 answers have a chance to be read such as 0.0. Wanted: over 0"),
        (np.array([np.nan]), 0.1, 0.95, "such as nan. Wanted: over 0"),
        (ONE, 0.0, 0.95, "the promised risk is 0.0. Wanted: over 0 and under 1"),
        (ONE, 0.1, 1.0, "the confidence is 1.0. Wanted: over 0 and under 1"),
    ],
)
def test_what_cannot_be_tested_is_refused(
    probability: FloatArray, promise: float, confidence: float, said: str
) -> None:
    with pytest.raises(ValueError, match="Nothing was tested") as refused:
        watch(NONE, NONE, probability, promise=promise, confidence=confidence)
    assert said in str(refused.value)


@pytest.mark.parametrize("chance", [1.0, 0.1])
def test_how_soon_an_alarm_is_to_be_expected_is_about_what_is_seen(chance: float) -> None:
    expected = answers_to_alarm(0.1, chance, 0.2)
    assert expected
    seen = float(np.median(delays(0.2, 0.1, round(1_200 / chance), (chance,))))
    assert 0.6 < expected * chance / seen < 1.7


@pytest.mark.parametrize(("promise", "chance", "risk"), [(0.1, 1.0, 0.1), (0.1, 1.0, 0.0), (0.0, 1.0, 0.5)])
def test_no_alarm_is_to_be_expected_where_the_promise_holds_or_there_is_none(
    promise: float, chance: float, risk: float
) -> None:
    assert answers_to_alarm(promise, chance, risk) is None
