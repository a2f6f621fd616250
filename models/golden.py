"""Golden posts: what a bundle made of a few posts when it was written, kept beside it as `golden.json`.

A hash says that the files are those that were written; golden posts say that this program on this machine still
computes with them what was measured then. Owns the values and the comparison; knows no model (`docs/decisions/0011`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Protocol, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from data.post import Post
from data.taxonomy import ROUTES, Intent, Route
from models.policy import Action, Facts, Policy, Probability, Queue, decide

TOLERANCE = {"int8": 0.1, "fp32": 0.001}
"""How far a probability may be from the recorded one, by the precision of the weights.

INT8: noise of 1e-6 in the weights, which is what another CPU's order of sums amounts to, moved the probabilities of 120
posts by 0.01 on average and 0.06 at most, since a rounding step that flips early reaches all that follows. Faults that
matter move some posts by more than 0.1. fp32 carries no such steps. Measured in docs/decisions/0011.
"""
PROBABILITY_DIGITS = 6
AnyLabel = TypeVar("AnyLabel", bound=str)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Judged(Protocol):
    """What is compared of a prediction: `models.predictor.Prediction` is one."""

    @property
    def routes(self) -> Mapping[Route, float]:
        """Calibrated probabilities of the four routes."""

    @property
    def intents(self) -> Mapping[Intent, float]:
        """Calibrated probabilities of all intents."""

    @property
    def facts(self) -> Facts:
        """What the guards found."""


class GoldenDecision(_Value):
    """A decision without its words: the action, the queue, and the codes of all rules that fired."""

    action: Action
    queue: Queue
    reasons: tuple[str, ...]


class GoldenPost(_Value):
    """One post with what the bundle made of it; the decision is what its own policy makes of these probabilities."""

    post: Post
    routes: dict[Route, Probability]
    intents: dict[Intent, Probability]
    decision: GoldenDecision

    @model_validator(mode="after")
    def _every_route_is_there(self) -> Self:
        if set(self.routes) != set(ROUTES):
            raise ValueError("a probability for every route")
        return self


class Golden(_Value):
    """The golden posts of a bundle. `made_at` is the clock by which they were decided: templates go out of date."""

    made_at: AwareDatetime
    posts: Annotated[tuple[GoldenPost, ...], Field(min_length=1)]

    @property
    def inputs(self) -> list[Post]:
        """The posts alone, as a predictor takes them."""
        return [golden.post for golden in self.posts]


def _rounded(probabilities: Mapping[AnyLabel, float]) -> dict[AnyLabel, float]:
    return {label: round(value, PROBABILITY_DIGITS) for label, value in probabilities.items()}


def _decision(
    routes: Mapping[Route, float], intents: Mapping[Intent, float], facts: Facts, policy: Policy, made_at: datetime
) -> GoldenDecision:
    decision = decide(routes, intents, replace(facts, today=made_at.date()), policy)
    codes = tuple(reason.code for reason in decision.reasons)
    return GoldenDecision(action=decision.action, queue=decision.queue, reasons=codes)


def _record(post: Post, found: Judged, policy: Policy, made_at: datetime) -> GoldenPost:
    routes, intents = _rounded(found.routes), _rounded(found.intents)
    decision = _decision(routes, intents, found.facts, policy, made_at)
    return GoldenPost(post=post, routes=routes, intents=intents, decision=decision)


def record(posts: Sequence[Post], predictions: Sequence[Judged], policy: Policy, made_at: datetime) -> Golden:
    """The golden posts of a bundle from what it makes of `posts` under its own `policy` at `made_at`."""
    recorded = [_record(post, found, policy, made_at) for post, found in zip(posts, predictions, strict=True)]
    return Golden(made_at=made_at, posts=tuple(recorded))


def _score_departure(golden: GoldenPost, found: Judged, tolerance: float) -> str | None:
    scores: list[tuple[str, float, float]] = [(label, found.routes[label], golden.routes[label]) for label in ROUTES]
    scores += [(label, found.intents[label], wanted) for label, wanted in golden.intents.items()]
    # Said this way round, it is also true of what is no number.
    off = [(label, got, wanted) for label, got, wanted in scores if not abs(got - wanted) <= tolerance]
    if not off:
        return None
    label, got, wanted = max(off, key=lambda score: abs(score[1] - score[2]))
    return f"{label} {got:.3f} where {wanted:.3f} was recorded"


def _decision_departure(golden: GoldenPost, found: Judged, policy: Policy, made_at: datetime) -> str | None:
    decision = _decision(golden.routes, golden.intents, found.facts, policy, made_at)
    if decision == golden.decision:
        return None
    return (
        f"{decision.action} ({', '.join(decision.reasons)}) where {golden.decision.action} "
        f"({', '.join(golden.decision.reasons)}) was recorded"
    )


def departures(golden: Golden, predictions: Sequence[Judged], policy: Policy, tolerance: float) -> Iterator[str]:
    """What is computed otherwise than was recorded, in words, one line for each such post; none where all is well.

    `predictions` are those of `golden.inputs` under the bundle's own `policy`. Probabilities may differ by `tolerance`.
    The decision may not: it is made of the recorded probabilities and of the facts found now, so that no post is
    near a threshold, and whatever guards, rendering and policy do differently is seen.
    """
    for each, found in zip(golden.posts, predictions, strict=True):
        departure = _score_departure(each, found, tolerance) or _decision_departure(each, found, policy, golden.made_at)
        if departure is not None:
            yield f"golden post {each.post.id}: {departure}"
