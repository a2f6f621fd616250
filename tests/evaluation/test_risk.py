import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.predictions import BoolArray
from evaluation.risk import answerable_share, augrc, aurc, coverage_at_risk, risk_coverage, thin
from models.calibration import FloatArray

RANKED = st.lists(st.tuples(st.integers(0, 6).map(lambda value: value / 6), st.booleans()), min_size=1, max_size=25)
Ranked = list[tuple[float, bool]]


def _columns(ranked: Ranked) -> tuple[FloatArray, BoolArray]:
    return np.array([c for c, _ in ranked]), np.array([w for _, w in ranked])


def test_the_areas_of_four_posts_by_hand() -> None:
    confidence, wrong = np.array([0.9, 0.8, 0.7, 0.6]), np.array([False, True, False, True])
    # Selective risks at 1, 2, 3, 4 posts kept: 0, 1/2, 1/3, 2/4.
    assert aurc(confidence, wrong) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    # Generalized risks 0, 1/4, 1/4, 2/4 at coverages 1/4 to 4/4: trapezoids 0, 1/8, 1/4, 3/8, each 1/4 wide.
    assert augrc(confidence, wrong) == pytest.approx((0 + 1 / 8 + 1 / 4 + 3 / 8) / 4)


@given(RANKED)
def test_augrc_is_what_its_paper_says_it_equals(ranked: Ranked) -> None:
    confidence, wrong = _columns(ranked)
    right_scores, wrong_scores = confidence[~wrong], confidence[wrong]
    won = (right_scores[:, None] > wrong_scores).sum() + (right_scores[:, None] == wrong_scores).sum() / 2
    auroc = won / max(right_scores.size * wrong_scores.size, 1)
    acc = (~wrong).mean()
    assert augrc(confidence, wrong) == pytest.approx((1 - auroc) * acc * (1 - acc) + (1 - acc) ** 2 / 2)


@given(RANKED)
def test_aurc_is_the_mean_risk_at_every_posts_own_threshold(ranked: Ranked) -> None:
    risks = [np.mean([w for c, w in ranked if c >= own]) for own, _ in ranked]
    assert aurc(*_columns(ranked)) == pytest.approx(np.mean(risks))


@given(RANKED, st.sampled_from([0.0, 0.05, 0.2, 0.5]))
def test_coverage_at_risk_is_the_best_that_any_threshold_reaches(ranked: Ranked, risk: float) -> None:
    best = 0.0
    for threshold in {c for c, _ in ranked}:
        kept = [w for c, w in ranked if c >= threshold]
        if np.mean(kept) <= risk:
            best = max(best, len(kept) / len(ranked))
    assert coverage_at_risk(*_columns(ranked), risk=risk) == pytest.approx(best)


@given(RANKED)
def test_posts_of_equal_confidence_are_kept_together(ranked: Ranked) -> None:
    curve = risk_coverage(*_columns(ranked))
    assert curve.thresholds.tolist() == sorted({c for c, _ in ranked}, reverse=True)
    assert curve.kept[-1] == len(ranked)
    assert curve.wrong[-1] == sum(w for _, w in ranked)


def test_the_share_of_simple_posts_that_could_be_answered_by_hand() -> None:
    simple = np.array([0.95, 0.9, 0.8, 0.7, 0.6, 0.2])
    is_simple = np.array([True, True, False, True, True, True])
    assert answerable_share(simple, is_simple, 0.0) == pytest.approx(2 / 5)
    assert answerable_share(simple, is_simple, 0.20) == pytest.approx(1.0)
    assert answerable_share(simple[:5], np.array([True, True, False, False, True]), 0.05) == pytest.approx(2 / 3)
    assert answerable_share(simple, np.zeros(6, dtype=bool), 0.05) is None


def test_a_curve_is_thinned_to_its_ends_and_between() -> None:
    curve = risk_coverage(np.linspace(1, 0, 1_000), np.zeros(1_000, dtype=bool))
    points = thin(curve, 50)
    assert len(points) == 50
    assert (points[0][0], points[-1][0]) == (0.001, 1.0)
