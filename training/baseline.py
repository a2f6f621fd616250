"""The yardstick beside every run: TF-IDF and a linear support vector machine on the same rendered posts.

A fine-tuned transformer that does not beat it by a point or two is a bug, not a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.post import LabelledPost
from data.rendering import render
from data.taxonomy import ROUTES
from evaluation.metrics import accuracy, macro_f1
from evaluation.word_counts import word_count_classifier


@dataclass(frozen=True, slots=True)
class Baseline:
    """Route figures of the baseline on the development and the calibration split."""

    development_macro_f1: float
    development_accuracy: float
    calibration_macro_f1: float
    calibration_accuracy: float


def _texts(posts: Sequence[LabelledPost]) -> list[str]:
    rendered = [render(post) for post in posts]
    return [f"{pair.text} | {pair.context}" for pair in rendered]


def _routes(posts: Sequence[LabelledPost]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([ROUTES.index(post.route) for post in posts], dtype=np.int64)


def train_baseline(
    train: Sequence[LabelledPost],
    development: Sequence[LabelledPost],
    calibration: Sequence[LabelledPost],
    seed: int,
) -> Baseline:
    """The figures of the baseline trained on `train`."""
    pipeline = word_count_classifier(seed).fit(_texts(train), _routes(train))
    figures = []
    for part in (development, calibration):
        true, said = _routes(part), np.asarray(pipeline.predict(_texts(part)), dtype=np.int64)
        figures += [macro_f1(true, said, ROUTES), accuracy(true, said)]
    return Baseline(*figures)
