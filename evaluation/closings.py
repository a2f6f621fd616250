"""Which posts a machine closes at which thresholds, and which of these closings are wrong.

Asks `models.policy.decide` once per post with the answer thresholds wide open; what it then closes is closed at real
thresholds if and only if both probabilities reach them (a property test holds this against `decide`). So hundreds of
thresholds are tried without deciding every post anew.
"""

from dataclasses import dataclass

import numpy as np

from data.taxonomy import ROUTES
from evaluation.predictions import BoolArray, Predictions
from models.calibration import FloatArray
from models.policy import Decision, Policy, Thresholds


@dataclass(frozen=True, slots=True, eq=False)
class Closings:
    """What `[n]` posts would come to if only the thresholds `simple` and `intent` stood between them and a machine.

    `closable`: no other rule holds the post back. `wrong`: closing it would be an error. `other_need`: it would be
    answered for another need. `simple` and `intent` are the probabilities that the two thresholds are compared with.
    """

    closable: BoolArray
    wrong: BoolArray
    other_need: BoolArray
    simple: FloatArray
    intent: FloatArray

    def closed(self, thresholds: Thresholds) -> BoolArray:
        """Which posts are closed at these values of `simple` and `intent`, `[n]`."""
        if thresholds.answer_nothing:
            return np.zeros_like(self.closable)
        return self.closable & (self.simple >= thresholds.simple) & (self.intent >= thresholds.intent)


def wide_open(thresholds: Thresholds) -> Thresholds:
    """The same thresholds for specialists, and none at all for answering."""
    return thresholds.model_copy(update={"simple": 0.0, "intent": 0.0, "answer_nothing": False})


def wrongly_closed(predictions: Predictions, decisions: list[Decision], policy: Policy) -> BoolArray:
    """Which posts are closed by `decisions` and should not have been, `[n]`.

    Closing is wrong where the route is not simple; closing without a reply also where the true intent wants one, by
    the policy and the taxonomy.
    """
    taxonomy = predictions.taxonomy
    content = {taxonomy.names.index(intent) for intent in (*policy.no_reply_intents, *taxonomy.needs_no_reply)}
    not_simple = ~predictions.is_route("simple")
    wants_reply = ~np.isin(predictions.intents, sorted(content))
    closed = np.array([decision.closed_by_machine for decision in decisions], dtype=np.bool_)
    silent = np.array([decision.action == "no_reply" for decision in decisions], dtype=np.bool_)
    return np.asarray((closed & not_simple) | (silent & wants_reply))


def other_need(predictions: Predictions, decisions: list[Decision]) -> BoolArray:
    """Which posts are answered by `decisions` for another need than the true one, `[n]`."""
    answered = np.array([decision.action == "auto_answer" for decision in decisions], dtype=np.bool_)
    return np.asarray(answered & (predictions.predicted_intents != predictions.intents))


def read_closings(predictions: Predictions, policy: Policy) -> Closings:
    """The closings of `predictions` under the policy's guards, lists and specialist thresholds."""
    opened = policy.model_copy(update={"thresholds": wide_open(policy.thresholds)})
    decisions = predictions.decide(opened)
    return Closings(
        closable=np.array([decision.closed_by_machine for decision in decisions], dtype=np.bool_),
        wrong=wrongly_closed(predictions, decisions, opened),
        other_need=other_need(predictions, decisions),
        simple=predictions.route_probabilities[:, ROUTES.index("simple")],
        intent=predictions.intent_probabilities.max(axis=1, initial=0.0),
    )
