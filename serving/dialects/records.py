"""An answer as one flat record, for interfaces that know columns and no nesting."""

from pydantic import BaseModel, ConfigDict, Field

from data.taxonomy import Intent, Route
from models.policy import Action, Queue
from serving.wire import PredictResponse, Share, Versions


class Record(BaseModel):
    """What one answer says, by column. Act on `action`; anything unknown there is to be read as `agent`."""

    model_config = ConfigDict(frozen=True)

    id: str | None
    prediction_id: str
    route: Route
    confidence: Share
    probabilities: dict[Route, Share]
    intent: Intent
    intent_confidence: Share
    action: Action
    queue: Queue
    abstained: bool
    move_to_private: bool
    reasons: tuple[str, ...] = Field(description="The codes; the first set the action")
    truncated: bool
    versions: Versions


def record_of_answer(answer: PredictResponse) -> Record:
    """The record of one answer."""
    return Record(
        id=answer.id,
        prediction_id=answer.prediction_id,
        route=answer.route.label,
        confidence=answer.route.confidence,
        probabilities=answer.route.probabilities,
        intent=answer.intent.label,
        intent_confidence=answer.intent.confidence,
        action=answer.decision.action,
        queue=answer.decision.queue,
        abstained=answer.decision.abstained,
        move_to_private=answer.decision.move_to_private,
        reasons=tuple(reason.code for reason in answer.decision.reasons),
        truncated=answer.truncated,
        versions=answer.versions,
    )
