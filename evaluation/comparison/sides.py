"""Champion and challenger on the same posts: all that the checks, the flips and the page are made from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.post import LabelledPost
from data.progress import Watch, unwatched
from evaluation.behaviour.capabilities import CasesFile
from evaluation.behaviour.suite import Result, run_suite
from evaluation.closings import wrongly_closed
from evaluation.comparison.latency import Latency, measure_latency
from evaluation.predictions import BoolArray, Predictions, predict_posts
from models.bundle import MANIFEST_FILE, Bundle, sha256_of
from models.policy import Decision, Policy
from models.predictor import Predictor


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One bundle on the posts: what it says, and what its own policy makes of it."""

    bundle: Bundle
    policy: Policy
    predictions: Predictions
    decisions: tuple[Decision, ...]
    behaviour: tuple[Result, ...]

    @property
    def right(self) -> BoolArray:
        """Which posts have the right route, `[n]`."""
        return np.asarray(self.predictions.predicted_routes == self.predictions.routes)

    @property
    def closed(self) -> BoolArray:
        """Which posts its policy closes, `[n]`."""
        return np.array([decision.closed_by_machine for decision in self.decisions], dtype=np.bool_)

    @property
    def intents(self) -> tuple[str, ...]:
        """The names of its intents, in order."""
        return self.bundle.taxonomy.names


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Both sides, and how long they take."""

    champion: Side
    challenger: Side
    latency: Latency

    @property
    def same_intents(self) -> bool:
        """Whether both have the same list of intents, so that intents can be compared."""
        return self.champion.intents == self.challenger.intents

    @property
    def wrongly_closed(self) -> BoolArray:
        """Which posts the challenger's policy closes wrongly, `[n]`."""
        side = self.challenger
        return wrongly_closed(side.predictions, list(side.decisions), side.policy)


def manifest_sha256(bundle: Bundle) -> str:
    """What stands for the whole bundle: the SHA-256 of its manifest, which lists those of all its other files."""
    return sha256_of(bundle.directory / MANIFEST_FILE)


def _known_to(predictor: Predictor, posts: Sequence[LabelledPost]) -> list[LabelledPost]:
    """`posts` as a bundle with another list of intents can be given them: routes are all that is asked of it."""
    names = predictor.bundle.taxonomy.names
    strange = any(post.intent not in names for post in posts)
    return [post.model_copy(update={"intent": names[0]}) for post in posts] if strange else list(posts)


def _side(predictor: Predictor, posts: Sequence[LabelledPost], cases: CasesFile, watch: Watch, *, bars: bool) -> Side:
    predictions = predict_posts(predictor, posts, progress=bars)
    decisions = tuple(predictions.decide(predictor.policy))
    return Side(predictor.bundle, predictor.policy, predictions, decisions, run_suite(predictor, cases, watch=watch))


def run_pair(
    champion: Predictor,
    challenger: Predictor,
    posts: Sequence[LabelledPost],
    cases: CasesFile,
    *,
    watch: Watch = unwatched,
    bars: bool = True,
) -> Pair:
    """Both bundles run on `posts`, which are labelled by the challenger's intents, and on the behaviour `cases`."""
    ours = _side(challenger, posts, cases, watch, bars=bars)
    theirs = _side(champion, _known_to(champion, posts), cases, watch, bars=bars)
    return Pair(theirs, ours, measure_latency(champion, challenger, posts, watch=watch))
