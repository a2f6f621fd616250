import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from data.taxonomy import MAX_INTENTS, ROUTES
from evaluation.metrics import (
    accuracy,
    brier,
    equal_mass_bins,
    equal_width_bins,
    estimate_share,
    expected_calibration_error,
    label_figures,
    log_loss,
    macro_f1,
)
from evaluation.predictions import IntArray
from models.calibration import probabilities

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


def _columns(pairs: list[tuple[int, int]]) -> tuple[IntArray, IntArray]:
    true, predicted = np.array(pairs, dtype=np.int64).T
    return true, predicted


@settings(max_examples=40)
@given(LABELS)
def test_per_class_figures_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    true, predicted = _columns(pairs)
    figures = label_figures(true, predicted, ROUTES, np.arange(len(true))).classes
    wanted = precision_recall_fscore_support(true, predicted, labels=range(4), zero_division=0)
    for place, figure in enumerate(figures):
        for mine, theirs in zip((figure.precision, figure.recall, figure.f1), wanted[:3], strict=True):
            assert (mine.value if mine else 0.0) == pytest.approx(theirs[place])
        assert figure.support == wanted[3][place]


@settings(max_examples=40)
@given(LABELS)
def test_macro_f1_is_the_mean_over_the_classes_that_occur(pairs: list[tuple[int, int]]) -> None:
    true, predicted = _columns(pairs)
    wanted = f1_score(true, predicted, labels=np.unique(true), average="macro", zero_division=0)
    assert macro_f1(true, predicted, ROUTES) == pytest.approx(wanted)
    assert accuracy(true, predicted) == pytest.approx(accuracy_score(true, predicted))


def test_an_absent_class_keeps_its_name_and_has_no_figures() -> None:
    true, predicted = np.array([0, 0, 3, 3]), np.array([0, 3, 3, 3])
    simple, complex_, sensitive, influencer = label_figures(true, predicted, ROUTES, np.arange(4)).classes
    assert (complex_.label, complex_.support) == ("complex", 0)
    assert complex_.precision is complex_.recall is complex_.f1 is None
    assert sensitive.label == "sensitive"
    assert simple.recall is not None
    assert influencer.precision is not None
    assert simple.recall.value == 0.5
    assert influencer.precision.value == pytest.approx(2 / 3)


def test_as_many_classes_as_a_taxonomy_may_have_take_megabytes() -> None:
    true, predicted = np.random.default_rng(3).integers(MAX_INTENTS, size=(2, 1_000))
    tracemalloc.start()
    figures = label_figures(true, predicted, [str(number) for number in range(MAX_INTENTS)], np.arange(1_000)).classes
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(each.support for each in figures) == 1_000
    assert peak_bytes < 100e6  # a row of the confusion matrix for every post would be 500 MB


def test_the_same_input_gives_the_same_interval() -> None:
    random = np.random.default_rng(1)
    true, predicted = random.integers(4, size=200), random.integers(4, size=200)
    first, again = (label_figures(true, predicted, ROUTES, np.arange(200)).macro_f1 for _ in range(2))
    assert first == again
    assert first.low < first.value < first.high


def test_intervals_do_not_depend_on_what_was_drawn_before() -> None:
    random = np.random.default_rng(1)
    true, predicted = random.integers(4, size=200), random.integers(4, size=200)
    first = label_figures(true, predicted, ROUTES, np.arange(200))
    for groups in (50, 100, 150):
        label_figures(true, predicted, ROUTES, np.arange(200) % groups)
    assert label_figures(true, predicted, ROUTES, np.arange(200)) == first


def test_groups_that_stand_together_widen_the_interval() -> None:
    true = np.zeros(300, dtype=np.int64)
    predicted = np.repeat(np.random.default_rng(2).integers(2, size=30), 10)
    alone = label_figures(true, predicted, ROUTES, np.arange(300)).accuracy
    together = label_figures(true, predicted, ROUTES, np.repeat(np.arange(30), 10)).accuracy
    assert alone.value == together.value
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_the_bootstrap_interval_of_a_share_is_close_to_the_exact_one() -> None:
    share = estimate_share(np.arange(400) < 100, np.arange(400))
    # Normal approximation: 0.25 +- 1.96 * sqrt(0.25 * 0.75 / 400) = 0.25 +- 0.0424; drawn 1,000 times.
    assert share.value == 0.25
    assert share.low == pytest.approx(0.2076, abs=0.01)
    assert share.high == pytest.approx(0.2924, abs=0.01)


def test_calibration_error_of_a_small_case_by_hand() -> None:
    confidence, right = np.array([0.55, 0.58, 0.92, 0.98]), np.array([True, False, True, True])
    # (0.5333, 0.6]: two posts, 0.565 against 0.5; (0.8667, 0.9333] and (0.9333, 1]: one each, 0.92 and 0.98 against 1.
    by_width = equal_width_bins(confidence, right)
    assert [each.posts for each in by_width] == [2, 1, 1]
    assert expected_calibration_error(by_width) == pytest.approx((2 * 0.065 + 0.08 + 0.02) / 4)
    # Two bins of two posts: 0.565 against 0.5, 0.95 against 1.
    assert expected_calibration_error(equal_mass_bins(confidence, right, bins=2)) == pytest.approx((0.065 + 0.05) / 2)


def test_honest_probabilities_have_nearly_no_calibration_error() -> None:
    random = np.random.default_rng(5)
    confidence = random.uniform(0.3, 1.0, size=40_000)
    right = random.uniform(size=40_000) < confidence
    assert expected_calibration_error(equal_mass_bins(confidence, right)) < 0.012
    assert expected_calibration_error(equal_width_bins(confidence, right)) < 0.012
    assert expected_calibration_error(equal_mass_bins(np.sqrt(confidence), right)) > 0.1


def test_brier_and_log_loss_of_a_small_case_by_hand() -> None:
    said = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])
    true = np.array([0, 2])
    assert brier(said, true) == pytest.approx((0.09 + 0.04 + 0.01 + 0.25 + 0.25) / 2)
    assert log_loss(said, true) == pytest.approx(-(np.log(0.7) + np.log(0.5)) / 2)


def test_the_truth_has_the_best_brier_score_and_log_loss() -> None:
    random = np.random.default_rng(6)
    logits = random.normal(scale=2, size=(20_000, 4))
    said = probabilities(logits, 1.0)
    true = (said.cumsum(axis=1) > random.uniform(size=(20_000, 1))).argmax(axis=1)
    for score in (brier, log_loss):
        assert score(said, true) < min(score(probabilities(logits, t), true) for t in (0.5, 2.0))
