"""The labelled posts that are nearest to a post, to show what the model was taught near it. Owns the measure.

TF-IDF of words and pieces of words, as `evaluation.word_counts` has them, and its cosine; hashed instead of numbered,
so that an index is made in short pieces. The encoder's own pooled vector would be nearer to what the model thinks, but
the served graph gives logits alone (outputs `route` and `intent`), and opening it up would be another graph than the
one that serves. So read a neighbour as "the same words", not as "the same to the model".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.dependencies import needs_group
from data.post import Post
from data.rendering import render
from data.steps import Steps, finish

with needs_group("evaluate", "Finding posts that are alike"):
    from scipy import sparse
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

_PIECE_POSTS = 64
"""Some 20 ms of one core (docs/workbench.md)."""
_FEATURES = 2**20
"""Room for the terms of each kind: 6,605 posts have 71,000 that stand in two or more of them."""
_MIN_POSTS_PER_TERM = 2
"""As in `evaluation.word_counts`: what stands in one post alone makes nothing alike."""


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """Labelled posts as vectors of length 1, `[n, f]` and sparse, and what weighs the terms of each kind."""

    weights: tuple[TfidfTransformer, ...]
    vectors: Any  # a sparse matrix of scipy, whose kind scikit-learn chooses


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A labelled post by its place, and how alike its text is: the cosine, 0 to 1."""

    place: int
    similarity: float


def _counters() -> tuple[HashingVectorizer, HashingVectorizer]:
    """What counts the words and the pieces of words of texts. Without state, so that texts may come in pieces."""
    plain = {"norm": None, "alternate_sign": False, "n_features": _FEATURES}
    return (
        HashingVectorizer(ngram_range=(1, 2), **plain),
        HashingVectorizer(analyzer="char_wb", ngram_range=(2, 5), **plain),
    )


def _weigh(counts: Any) -> TfidfTransformer:
    """The weights of terms by how many of the posts have them; 0 for one that a single post has."""
    weights = TfidfTransformer(sublinear_tf=True).fit(counts)
    posts = np.bincount(counts.indices, minlength=_FEATURES)
    weights.idf_ = np.where(posts >= _MIN_POSTS_PER_TERM, weights.idf_, 0.0)
    return weights


def _vectors(weights: Sequence[TfidfTransformer], counts: Sequence[Any]) -> Any:
    """Both kinds of terms side by side, each half of the length, `[n, f]`."""
    halves = [each.transform(found) for each, found in zip(weights, counts, strict=True)]
    return sparse.hstack(halves, format="csr") / np.sqrt(len(halves))


def index_in_steps(posts: Sequence[Post]) -> Steps[Index]:
    """The same as `index_posts`, a few posts a step."""
    counted = []
    for start in range(0, len(posts), _PIECE_POSTS):
        texts = [render(post).text for post in posts[start : start + _PIECE_POSTS]]
        counted.append([counter.transform(texts) for counter in _counters()])
        yield
    weights = []
    for kind in zip(*counted, strict=True):
        weights.append(_weigh(sparse.vstack(kind, format="csr")))
        yield
    if not any(each.idf_.any() for each in weights):
        raise ValueError(
            f"No index was made of {len(posts)} posts: no two of them have a word in common. Wanted: the labelled "
            "posts that the model was trained on. Give more of them."
        )
    vectors = []
    for counts in counted:
        vectors.append(_vectors(weights, counts))
        yield
    return Index(tuple(weights), sparse.vstack(vectors, format="csr"))


def index_posts(posts: Sequence[Post]) -> Index:
    """The index of labelled posts, at least two, by what the model reads of their text.

    Raises:
        ValueError: when there are fewer, or no two of them share a word.
    """
    return finish(index_in_steps(posts))


def nearest(index: Index, text: str, most: int = 5) -> tuple[Neighbour, ...]:
    """At most `most` posts of the index that share something with a text as the model read it, the nearest first."""
    asked = _vectors(index.weights, [counter.transform([text]) for counter in _counters()])
    alike = np.asarray((index.vectors @ asked.T).todense()).ravel()
    first = np.argsort(-alike, kind="stable")[:most]
    return tuple(Neighbour(int(place), float(alike[place])) for place in first if alike[place] > 0)
