"""The models in service as one value that is swapped as a whole: who answers, who is tried, who can be gone back to.

The champion answers. The challenger, if there is one, is tried in one of two modes: a shadow answers nothing, a canary
answers a share of the posts, always the same ones. Whichever of the two did not answer a post scores it too where the
machine has room, and what they disagree on is counted. Owns who gets which post; loads nothing and runs nothing.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Lock

from data.post import Post
from models.policy import Policy
from models.predictor import Prediction
from serving.engine import ServedModel, under
from serving.errors import LineupConflictError
from serving.metrics import Metrics
from serving.wire import (
    ChallengerAnswer,
    DisagreementAnswer,
    DisagreementCounts,
    Mode,
    PostCounts,
    Role,
    VerdictAnswer,
    Versions,
)

SAMPLED_DISAGREEMENTS = 100
"""The newest so many are kept: enough to read through, some 20 KB."""


def place_of(post: Post, rollout: str) -> float:
    """Where a post stands between 0 (included) and 1 (not), the same on every server for one `rollout`.

    By its id; without one by its text, so that what is passed on or sent again stays on its side. Another rollout
    deals all posts anew, so that the same ones are not always tried on.
    """
    name = f"text {post.text}" if post.id is None else f"id {post.id}"
    digest = hashlib.blake2b(f"{rollout}\n{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53  # 53 bits: what a float holds exactly


def verdict_of(prediction: Prediction) -> VerdictAnswer:
    """What is compared of two models, without anything of the post."""
    return VerdictAnswer(
        route=prediction.route,
        confidence=round(prediction.routes[prediction.route], 6),
        action=prediction.decision.action,
    )


def kinds_of(champion: Prediction, challenger: Prediction) -> Iterator[str]:
    """On what two predictions for one post disagree; nothing where they agree."""
    if champion.route != challenger.route:
        yield "route"
    if champion.decision.action != challenger.decision.action:
        yield "action"
    if challenger.decision.closed_by_machine and not champion.decision.closed_by_machine:
        yield "auto_gained"
    if champion.decision.closed_by_machine and not challenger.decision.closed_by_machine:
        yield "auto_lost"


class Tally:
    """What one challenger did beside one champion, counted. Safe between threads."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = Lock()
        self._posts = dict.fromkeys(PostCounts.model_fields, 0)
        self._disagreements = dict.fromkeys(DisagreementCounts.model_fields, 0)
        self._sample: deque[DisagreementAnswer] = deque(maxlen=SAMPLED_DISAGREEMENTS)

    def count(self, what: str, posts: int) -> None:
        """Counts posts that the challenger `answered`, or that were `compared` or `dropped`."""
        self._metrics.observe_challenger(what, posts)
        with self._lock:
            self._posts[what] += posts

    def compare(self, prediction_id: str, champion: Prediction, challenger: Prediction) -> None:
        """Counts one post that both have scored; keeps what they disagree on."""
        kinds = tuple(kinds_of(champion, challenger))
        self.count("compared", 1)
        if not kinds:
            return
        self._metrics.observe_disagreement(kinds)
        found = DisagreementAnswer(
            prediction_id=prediction_id,
            kinds=kinds,
            champion=verdict_of(champion),
            challenger=verdict_of(challenger),
        )
        with self._lock:
            self._sample.append(found)
            for kind in kinds:
                self._disagreements[kind] += 1

    def anew(self) -> "Tally":
        """An empty one: counts beside one champion say nothing of another."""
        return Tally(self._metrics)

    @property
    def posts(self) -> PostCounts:
        """How many posts were answered, compared and dropped so far."""
        with self._lock:
            return PostCounts(**self._posts)

    @property
    def disagreements(self) -> DisagreementCounts:
        """How many of the compared posts they disagree on, by kind."""
        with self._lock:
            return DisagreementCounts(**self._disagreements)

    @property
    def sample(self) -> tuple[DisagreementAnswer, ...]:
        """The newest disagreements, the oldest of them first."""
        with self._lock:
            return tuple(self._sample)


@dataclass(frozen=True, slots=True, eq=False)
class Challenger:
    """The model that is tried. `share` of the posts, 0 to 1, are answered by it in the mode canary."""

    model: ServedModel
    mode: Mode
    share: float
    tally: Tally

    def takes(self, post: Post) -> bool:
        """True where it answers this post."""
        return self.mode == "canary" and place_of(post, self.model.versions.model) < self.share

    def described(self) -> ChallengerAnswer:
        """What is said of it to callers."""
        return ChallengerAnswer(
            versions=self.model.versions,
            mode=self.mode,
            share=self.share,
            posts=self.tally.posts,
            disagreements=self.tally.disagreements,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """The posts of a request that one model answers, by their place; the `other` may score them beside it."""

    model: ServedModel
    other: ServedModel | None
    places: tuple[int, ...]
    canary: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Lineup:
    """Everything in service at one moment. A request keeps the lineup it began with."""

    champion: ServedModel
    previous: ServedModel | None = None
    challenger: Challenger | None = None

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """All models in memory, the champion first."""
        others = (self.previous, self.challenger.model if self.challenger else None)
        return (self.champion, *(model for model in others if model is not None))

    @property
    def answering(self) -> dict[Role, ServedModel]:
        """The models that answer posts, by role."""
        models: dict[Role, ServedModel] = {"champion": self.champion}
        if self.challenger is not None and self.challenger.mode == "canary":
            models["canary"] = self.challenger.model
        return models

    @property
    def versions(self) -> dict[Role, Versions]:
        """What is in service, by role."""
        versions: dict[Role, Versions] = {"champion": self.champion.versions}
        if self.challenger is not None:
            versions[self.challenger.mode] = self.challenger.model.versions
        return versions

    def named(self) -> dict[str, str]:
        """The names of the models by role, for the log."""
        return {role: f"{versions.model}, policy {versions.policy}" for role, versions in self.versions.items()}

    def split(self, posts: Sequence[Post], *, mixed: bool = True, version: str | None = None) -> list[Part]:
        """Which model answers which of the posts: one part for all, or one for each model.

        Where the answers of a request may not be `mixed`, the first post decides for all. The model `version` answers
        them all where a caller names one that answers any.
        """
        challenger = self.challenger
        if challenger is None:
            return [Part(self.champion, None, tuple(range(len(posts))))]
        if version == self.champion.versions.model:
            taken = [False] * len(posts)
        elif version == challenger.model.versions.model and challenger.mode == "canary":
            taken = [True] * len(posts)
        elif mixed:
            taken = [challenger.takes(post) for post in posts]
        else:
            taken = [challenger.takes(posts[0])] * len(posts)
        parts = (
            Part(self.champion, challenger.model, tuple(place for place, its in enumerate(taken) if not its)),
            Part(challenger.model, self.champion, tuple(place for place, its in enumerate(taken) if its), True),
        )
        return [part for part in parts if part.places]

    def _challenger_anew(self) -> Challenger | None:
        """The challenger beside another champion or policy: what was counted until now says nothing of that."""
        return self.challenger and replace(self.challenger, tally=self.challenger.tally.anew())

    def crowning(self, model: ServedModel) -> "Lineup":
        """The lineup with `model` as champion and the old champion to go back to."""
        return Lineup(model, self.champion, self._challenger_anew())

    def deciding_by(self, policy: Policy) -> "Lineup":
        """The lineup whose champion decides by `policy`; the model to go back to stays the one before it.

        Raises:
            PolicyError: when the champion cannot.
        """
        if policy == self.champion.predictor.policy:
            return self
        return replace(self, champion=under(self.champion, policy), challenger=self._challenger_anew())

    def trying(self, challenger: Challenger) -> "Lineup":
        """The lineup with another challenger, or its first."""
        return replace(self, challenger=challenger)

    def promoting(self) -> "Lineup":
        """The lineup with the challenger as champion.

        Raises:
            LineupConflictError: when there is no challenger.
        """
        return Lineup(self._tried("promoted").model, self.champion)

    def retiring(self) -> "Lineup":
        """The lineup without its challenger.

        Raises:
            LineupConflictError: when there is none.
        """
        self._tried("retired")
        return replace(self, challenger=None)

    def rolling_back(self) -> "Lineup":
        """The lineup with the previous champion in service again; a second time undoes it.

        Raises:
            LineupConflictError: when there is no previous one.
        """
        if self.previous is None:
            raise LineupConflictError(
                "Nothing was rolled back: no other model was in service before this one since the server started. "
                "Wanted: a previous champion. Load the bundle that you want by POST /v1/admin/reload."
            )
        return self.crowning(self.previous)

    def _tried(self, what: str) -> Challenger:
        if self.challenger is None:
            raise LineupConflictError(
                f"Nothing was {what}: no challenger is in service. Wanted: one. Load a bundle as shadow or canary by "
                "POST /v1/admin/reload first."
            )
        return self.challenger
