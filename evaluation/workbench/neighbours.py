"""The labelled posts that are nearest to a post, to show what the model was taught near it. Owns the measure.

TF-IDF of words and pieces of words (`evaluation.word_counts`) and its cosine. The encoder's own pooled vector would be
nearer to what the model thinks, but the served graph gives logits alone (outputs `route` and `intent`), and opening it
up would be another graph than the one that serves. So read a neighbour as "the same words", not as "the same to the
model".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.dependencies import needs_group
from data.post import Post
from data.rendering import render
from evaluation.word_counts import word_counts

with needs_group("evaluate", "Finding posts that are alike"):
    from sklearn.pipeline import FeatureUnion


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """Labelled posts as vectors of length 1, `[n, f]` and sparse, and what makes a vector of a text."""

    counts: FeatureUnion
    vectors: Any  # a sparse matrix of scipy, which scikit-learn gives without a type


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A labelled post by its place, and how alike its text is: the cosine, 0 to 1."""

    place: int
    similarity: float


def index_posts(posts: Sequence[Post]) -> Index:
    """The index of labelled posts, at least two, by what the model reads of their text.

    Raises:
        ValueError: when there are fewer, or no two of them share a word.
    """
    counts = word_counts()
    texts = [render(post).text for post in posts]
    try:
        return Index(counts, counts.fit_transform(texts))
    except ValueError:
        raise ValueError(
            f"No index was made of {len(posts)} posts: no two of them have a word in common. Wanted: the labelled "
            "posts that the model was trained on. Give more of them."
        ) from None


def nearest(index: Index, text: str, most: int = 5) -> tuple[Neighbour, ...]:
    """At most `most` posts of the index that share something with a text as the model read it, the nearest first."""
    alike = np.asarray((index.vectors @ index.counts.transform([text]).T).todense()).ravel() / 2
    first = np.argsort(-alike, kind="stable")[:most]
    return tuple(Neighbour(int(place), float(alike[place])) for place in first if alike[place] > 0)
