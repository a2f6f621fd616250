"""Labelled posts with what a predictor says of them, as arrays. Owns the table that all figures are computed from.

Scores come from `Predictor.score`, the path by which the server answers, and decisions from `models.policy.decide`:
nothing here predicts or decides anew.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from data.dependencies import needs_group
from data.grouping import group, group_in_steps
from data.post import LabelledPost
from data.steps import Steps, finish
from data.taxonomy import ROUTES, Route, Taxonomy
from models.calibration import FloatArray
from models.policy import Decision, Facts, Policy, decide
from models.predictor import Predictor, Scores

with needs_group("evaluate", "Predicting labelled posts"):
    from tqdm import tqdm

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
_CHUNK_POSTS = 32
"""Posts between two steps of the progress bar; the scores do not depend on it (batch invariance)."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """A table of n posts: true labels, calibrated probabilities, facts, and the group that each post belongs to.

    `routes` and `intents` `[n]` are places in `ROUTES` and in the names of the `taxonomy`; `groups` `[n]` numbers the
    groups of posts that are not independent of each other (author, thread, contrast pair, near duplicate).
    """

    posts: tuple[LabelledPost, ...]
    routes: IntArray
    intents: IntArray
    route_probabilities: FloatArray
    intent_probabilities: FloatArray
    facts: tuple[Facts, ...]
    groups: IntArray
    taxonomy: Taxonomy

    def __len__(self) -> int:
        return len(self.posts)

    @property
    def predicted_routes(self) -> IntArray:
        """The most probable routes `[n]`."""
        return np.asarray(self.route_probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def predicted_intents(self) -> IntArray:
        """The most probable intents `[n]`."""
        return np.asarray(self.intent_probabilities.argmax(axis=1), dtype=np.int64)

    def is_route(self, route: Route) -> BoolArray:
        """Which posts truly have that route, `[n]`."""
        return np.asarray(self.routes == ROUTES.index(route))

    def take(self, rows: IntArray) -> Self:
        """The table of those rows, in that order."""
        return type(self)(
            posts=tuple(self.posts[row] for row in rows),
            routes=self.routes[rows],
            intents=self.intents[rows],
            route_probabilities=self.route_probabilities[rows],
            intent_probabilities=self.intent_probabilities[rows],
            facts=tuple(self.facts[row] for row in rows),
            groups=self.groups[rows],
            taxonomy=self.taxonomy,
        )

    def decide(self, policy: Policy) -> list[Decision]:
        """The decision of `policy` for every post, in order."""
        rows = zip(self.route_probabilities.tolist(), self.intent_probabilities.tolist(), self.facts, strict=True)
        names = self.taxonomy.names
        return [
            decide(dict(zip(ROUTES, routes, strict=True)), dict(zip(names, intents, strict=True)), facts, policy)
            for routes, intents, facts in rows
        ]


def tabulate(
    posts: Sequence[LabelledPost], scores: Sequence[Scores], groups: Sequence[Hashable], taxonomy: Taxonomy
) -> Predictions:
    """The table of posts, their scores and the names of their groups, all in the same order.

    The posts are labelled by the `taxonomy`, in whose order the scores of the intents stand.

    Raises:
        ValueError: when the three differ in length.
    """
    if not len(posts) == len(scores) == len(groups):
        raise ValueError(
            f"A table of predictions got {len(posts)} posts, {len(scores)} scores and {len(groups)} groups; "
            "wanted one of each per post. Give the scores and groups of exactly these posts."
        )
    names = taxonomy.names
    number = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    return Predictions(
        posts=tuple(posts),
        routes=np.array([ROUTES.index(post.route) for post in posts], dtype=np.int64),
        intents=np.array([names.index(post.intent) for post in posts], dtype=np.int64),
        route_probabilities=np.array([score.routes for score in scores], dtype=np.float64).reshape(-1, len(ROUTES)),
        intent_probabilities=np.array([score.intents for score in scores], dtype=np.float64).reshape(-1, len(names)),
        facts=tuple(score.facts for score in scores),
        groups=np.array([number[name] for name in groups], dtype=np.int64),
        taxonomy=taxonomy,
    )


def join_in_steps(one: Predictions, other: Predictions) -> Steps[Predictions]:
    """The same as `join`, some posts a step."""
    posts = (*one.posts, *other.posts)
    grouping = yield from group_in_steps(posts)
    return Predictions(
        posts=posts,
        routes=np.concatenate([one.routes, other.routes]),
        intents=np.concatenate([one.intents, other.intents]),
        route_probabilities=np.concatenate([one.route_probabilities, other.route_probabilities]),
        intent_probabilities=np.concatenate([one.intent_probabilities, other.intent_probabilities]),
        facts=(*one.facts, *other.facts),
        groups=np.array(grouping.numbers, dtype=np.int64),
        taxonomy=one.taxonomy,
    )


def join(one: Predictions, other: Predictions) -> Predictions:
    """The table of both, one after the other, of one taxonomy and with no post in common; groups may reach across."""
    return finish(join_in_steps(one, other))


def predict_posts(predictor: Predictor, posts: Sequence[LabelledPost], *, progress: bool = True) -> Predictions:
    """The predictions of `posts`, in order; `progress` draws a bar with the time left on stderr."""
    scores: list[Scores] = []
    with tqdm(total=len(posts), desc="scoring", unit="post", disable=not progress) as bar:
        for start in range(0, len(posts), _CHUNK_POSTS):
            chunk = posts[start : start + _CHUNK_POSTS]
            scores += predictor.score(chunk)
            bar.update(len(chunk))
    return tabulate(posts, scores, group(posts).numbers, predictor.bundle.taxonomy)
