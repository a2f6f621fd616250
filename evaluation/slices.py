"""The same figures on parts of the posts, to find where a good average hides a bad part. Owns what the parts are."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from data.families import family
from data.post import LabelledPost
from data.taxonomy import ROUTES
from evaluation.metrics import accuracy, macro_f1
from evaluation.predictions import IntArray, Predictions

SMALL_SLICE_POSTS = 30
"""Below this an accuracy of 0.8 has an interval of more than 14 points each way; such a slice is marked."""
_LENGTHS = ((200, "over 200 characters"), (80, "80 to 199 characters"), (0, "under 80 characters"))


def _length(post: LabelledPost) -> str:
    return next(name for least, name in _LENGTHS if len(post.text) >= least)


def _author(post: LabelledPost) -> str:
    return "author known" if post.author else "author unknown"


def _reply(post: LabelledPost) -> str:
    return "reply" if post.in_reply_to else "not a reply"


DIMENSIONS: dict[str, Callable[[LabelledPost], str]] = {
    "platform": lambda post: post.platform,
    "length": _length,
    "language": lambda post: post.lang,
    "author": _author,
    "industry": lambda post: post.industry,
    "thread": _reply,
    "family": family,
}
"""By what posts are sliced, and the slice of a post."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Figures of one part of the posts. `sensitive_recall` is `None` where no post of it is sensitive."""

    dimension: str
    name: str
    posts: int
    accuracy: float
    macro_f1: float
    sensitive_posts: int
    sensitive_recall: float | None
    small: bool


def _figures(dimension: str, name: str, part: Predictions) -> Slice:
    sensitive = part.is_route("sensitive")
    found = part.predicted_routes[sensitive] == ROUTES.index("sensitive")
    return Slice(
        dimension=dimension,
        name=name,
        posts=len(part),
        accuracy=accuracy(part.routes, part.predicted_routes),
        macro_f1=macro_f1(part.routes, part.predicted_routes, ROUTES),
        sensitive_posts=int(sensitive.sum()),
        sensitive_recall=float(found.mean()) if len(found) else None,
        small=len(part) < SMALL_SLICE_POSTS,
    )


def rows_of_slices(posts: Sequence[LabelledPost]) -> dict[tuple[str, str], IntArray]:
    """The places of the posts of every slice, by dimension and name."""
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for dimension, name_of in DIMENSIONS.items():
        for row, post in enumerate(posts):
            rows[dimension, name_of(post)].append(row)
    return {slice_: np.array(members, dtype=np.int64) for slice_, members in rows.items()}


def slice_predictions(predictions: Predictions) -> tuple[Slice, ...]:
    """The figures of every slice of every dimension: the worst macro-F1 first, small slices after all others."""
    slices = [
        _figures(dimension, name, predictions.take(rows))
        for (dimension, name), rows in rows_of_slices(predictions.posts).items()
    ]
    return tuple(sorted(slices, key=lambda each: (each.small, each.macro_f1, each.dimension, each.name)))
