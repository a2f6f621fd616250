import json

import numpy as np
import pytest

from data.taxonomy import BUILT_IN, ROUTES
from evaluation.predictions import predict_posts
from evaluation.slices import slice_predictions
from evaluation.summary import summarise
from tests.evaluation.populations import WRONG, drawn_predictions, labelled_post, labelled_posts, predictor
from tests.fakes import BOLD_POLICY

PREDICTIONS = predict_posts(predictor(), labelled_posts(10, 1), progress=False)
SUMMARY = summarise(PREDICTIONS, BOLD_POLICY)


def test_a_summary_is_json_without_nan() -> None:
    assert json.loads(json.dumps(SUMMARY, allow_nan=False)) == SUMMARY


def test_the_figures_are_those_counted_by_hand() -> None:
    assert (SUMMARY["posts"], SUMMARY["posts_by_route"]) == (
        85,
        {"simple": 32, "complex": 21, "sensitive": 21, "influencer": 11},
    )
    assert SUMMARY["route"]["accuracy"]["value"] == pytest.approx(81 / 85)
    assert SUMMARY["route"]["confusion"] == [[31, 1, 0, 0], [1, 20, 0, 0], [1, 0, 20, 0], [1, 0, 0, 10]]
    assert SUMMARY["decisions"]["leak"]["sensitive"]["events"] == 1
    assert SUMMARY["decisions"]["leak"]["influencer"]["events"] == 1
    assert SUMMARY["decisions"]["wrong"]["value"] == pytest.approx(3 / 34)
    assert SUMMARY["decisions"]["other_need"]["trials"] == 24
    assert SUMMARY["decisions"]["other_need"]["events"] >= 1
    assert SUMMARY["decisions"]["automatic_share"]["value"] == pytest.approx(34 / 85)
    assert SUMMARY["decisions"]["by_true_route"]["no_reply"] == {
        "simple": 10, "complex": 0, "sensitive": 0, "influencer": 0,
    }  # fmt: skip
    assert sum(SUMMARY["decisions"]["actions"].values()) == pytest.approx(1.0)


def test_an_exact_interval_is_given_where_nothing_leaked() -> None:
    clean = summarise(predict_posts(predictor(), labelled_posts(10, 0), progress=False), BOLD_POLICY)
    leak = clean["decisions"]["leak"]["sensitive"]
    assert (leak["events"], leak["trials"], leak["value"], leak["low"]) == (0, 20, 0.0, 0.0)
    # Clopper-Pearson, two-sided 95 %, no event in 20: 1 - 0.025 ** (1 / 20).
    assert leak["high"] == pytest.approx(1 - 0.025 ** (1 / 20))


def test_absent_classes_are_named() -> None:
    only_simple = [post for post in labelled_posts(2, 0) if post.route == "simple"]
    summary = summarise(predict_posts(predictor(), only_simple, progress=False), BOLD_POLICY)
    assert summary["route"]["absent"] == ["complex", "sensitive", "influencer"]
    assert set(summary["intent"]["absent"]) == set(BUILT_IN.names) - {"order_status", "praise", "not_service"}
    assert summary["decisions"]["leak"]["sensitive"]["value"] is None
    assert summary["route"]["macro_f1"]["value"] == 1.0


def test_nothing_to_summarise_is_refused() -> None:
    with pytest.raises(ValueError, match="Nothing to summarise: got 0 labelled posts, wanted at least 1"):
        summarise(PREDICTIONS.take(np.arange(0)), BOLD_POLICY)


def test_the_labels_stand_in_the_order_of_the_taxonomy() -> None:
    assert SUMMARY["route"]["labels"] == list(ROUTES)
    assert [each["label"] for each in SUMMARY["intent"]["classes"]] == list(BUILT_IN.names)


def test_every_dimension_cuts_all_posts_into_slices() -> None:
    slices = slice_predictions(PREDICTIONS)
    for dimension in ("platform", "length", "language", "author", "industry", "thread", "family"):
        assert sum(each.posts for each in slices if each.dimension == dimension) == len(PREDICTIONS)
    assert {each.name for each in slices if each.dimension == "platform"} == {"x", "facebook", "reddit"}


def test_the_worst_slice_stands_first_and_small_ones_last_and_marked() -> None:
    slices = slice_predictions(drawn_predictions(200, seed=9))
    large = [each for each in slices if not each.small]
    assert [each.macro_f1 for each in large] == sorted(each.macro_f1 for each in large)
    posts = [*labelled_posts(10, 0), *(labelled_post(500 + n, row, platform="tiktok") for n, row in enumerate(WRONG))]
    slices = slice_predictions(predict_posts(predictor(), posts, progress=False))
    tiktok = next(each for each in slices if each.name == "tiktok")
    assert (tiktok.posts, tiktok.small, tiktok.sensitive_recall) == (5, True, 0.0)
    assert all(each.small for each in slices[slices.index(tiktok) :])


def test_a_slice_without_sensitive_posts_has_no_recall_of_them() -> None:
    posts = [labelled_post(number, WRONG[1]) for number in range(3)]
    slices = slice_predictions(predict_posts(predictor(), posts, progress=False))
    assert {each.sensitive_recall for each in slices} == {None}
