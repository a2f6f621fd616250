"""From a prediction to the answer that goes over the wire."""

from data.post import Post
from models.policy import Decision, Policy, Promise, due
from models.predictor import Prediction
from serving.wire import (
    Alternative,
    DecisionAnswer,
    DueAnswer,
    IntentAnswer,
    PredictResponse,
    ReasonAnswer,
    RouteAnswer,
    Versions,
)

PROBABILITY_DIGITS = 6
"""Digits kept of a probability. Rounding moves the sum of the four routes' by 4 x 0.5e-6 at most, so within 1e-5."""
ALTERNATIVES = 3


def _rounded(probability: float) -> float:
    return round(float(probability), PROBABILITY_DIGITS)


def _intent_answer(prediction: Prediction) -> IntentAnswer:
    ranked = sorted(prediction.intents, key=lambda label: -prediction.intents[label])[:ALTERNATIVES]
    return IntentAnswer(
        label=prediction.intent,
        confidence=_rounded(prediction.intents[prediction.intent]),
        alternatives=tuple(
            Alternative(label=label, probability=_rounded(prediction.intents[label])) for label in ranked
        ),
    )


def _decision_answer(decision: Decision) -> DecisionAnswer:
    return DecisionAnswer(
        action=decision.action,
        queue=decision.queue,
        abstained=decision.abstained,
        move_to_private=decision.move_to_private,
        reasons=tuple(ReasonAnswer(code=reason.code, detail=reason.detail) for reason in decision.reasons),
    )


def _due_answer(post: Post, prediction: Prediction, promise: Promise) -> DueAnswer | None:
    if post.posted_at is None:
        return None
    times = due(post.posted_at, prediction.route, promise)
    return DueAnswer(acknowledge_by=times.acknowledge_by, resolve_by=times.resolve_by)


def answer(
    post: Post, prediction: Prediction, *, prediction_id: str, policy: Policy, versions: Versions
) -> PredictResponse:
    """The answer for one post and its prediction under `policy`."""
    return PredictResponse(
        id=post.id,
        prediction_id=prediction_id,
        route=RouteAnswer(
            label=prediction.route,
            confidence=_rounded(prediction.routes[prediction.route]),
            probabilities={label: _rounded(value) for label, value in prediction.routes.items()},
        ),
        intent=_intent_answer(prediction),
        decision=_decision_answer(prediction.decision),
        due=_due_answer(post, prediction, policy.promise),
        truncated=prediction.facts.truncated,
        versions=versions,
    )
