"""Which posts a machine closes at which thresholds, and which of these closings are wrong.

Asks `models.policy.decide` once per post with the answer thresholds wide open; what it then closes is closed at real
thresholds if and only if both probabilities reach them (a property test holds this against `decide`). So hundreds of
thresholds are tried without deciding every post anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from data.taxonomy import ROUTES
from evaluation.predictions import BoolArray, IntArray, Predictions
from models.calibration import FloatArray
from models.policy import Action, Decision, Policy, Thresholds, content_unanswered

ACTIONS: tuple[Action, ...] = get_args(Action)
"""In the order in which they are numbered."""
_AGENT = ACTIONS.index("agent")
CLOSING = [ACTIONS.index("auto_answer"), ACTIONS.index("no_reply")]
"""The actions after which no person reads the post."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What `[n]` posts come to if only the thresholds `simple` and `intent` stood between them and a machine.

    `actions` are places in `ACTIONS`: what is done where both thresholds are reached. `simple` and `intent` are the
    probabilities that the two thresholds are compared with.
    """

    actions: IntArray
    simple: FloatArray
    intent: FloatArray

    @property
    def closable(self) -> BoolArray:
        """The posts that no other rule holds back, `[n]`."""
        return np.isin(self.actions, CLOSING)

    def closed(self, thresholds: Thresholds) -> BoolArray:
        """Which posts are closed at these values of `simple` and `intent`, `[n]`."""
        if thresholds.answer_nothing:
            return np.zeros(len(self.actions), dtype=np.bool_)
        return self.closable & (self.simple >= thresholds.simple) & (self.intent >= thresholds.intent)

    def actions_at(self, thresholds: Thresholds) -> IntArray:
        """What is done with each post at these values of `simple` and `intent`, `[n]` places in `ACTIONS`."""
        held = self.closable & ~self.closed(thresholds)
        return np.where(held, _AGENT, self.actions)


@dataclass(frozen=True, slots=True, eq=False)
class Closings(Outcomes):
    """The outcomes of labelled posts. `wrong`: closing it would be an error; `other_need`: it would be answered for
    another need; both `[n]`.
    """

    wrong: BoolArray
    other_need: BoolArray


def wide_open(thresholds: Thresholds) -> Thresholds:
    """The same thresholds for specialists, and none at all for answering."""
    return thresholds.model_copy(update={"simple": 0.0, "intent": 0.0, "answer_nothing": False})


def wrongly_closed(predictions: Predictions, decisions: list[Decision], policy: Policy) -> BoolArray:
    """Which posts are closed by `decisions` and should not have been, `[n]`.

    Closing is wrong where the route is not simple; closing without a reply also where the true intent wants one, by
    the policy and the taxonomy.
    """
    taxonomy = predictions.taxonomy
    content = {taxonomy.names.index(intent) for intent in content_unanswered(policy, taxonomy)}
    not_simple = ~predictions.is_route("simple")
    wants_reply = ~np.isin(predictions.intents, sorted(content))
    closed = np.array([decision.closed_by_machine for decision in decisions], dtype=np.bool_)
    silent = np.array([decision.action == "no_reply" for decision in decisions], dtype=np.bool_)
    return np.asarray((closed & not_simple) | (silent & wants_reply))


def other_need(predictions: Predictions, decisions: list[Decision]) -> BoolArray:
    """Which posts are answered by `decisions` for another need than the true one, `[n]`."""
    answered = np.array([decision.action == "auto_answer" for decision in decisions], dtype=np.bool_)
    return np.asarray(answered & (predictions.predicted_intents != predictions.intents))


def action_places(decisions: Sequence[Decision]) -> IntArray:
    """The actions of decisions, `[n]` places in `ACTIONS`."""
    return np.array([ACTIONS.index(decision.action) for decision in decisions], dtype=np.int64)


def read_closings(predictions: Predictions, policy: Policy) -> Closings:
    """The closings of `predictions` under the policy's guards, lists and specialist thresholds."""
    opened = policy.model_copy(update={"thresholds": wide_open(policy.thresholds)})
    decisions = predictions.decide(opened)
    return Closings(
        actions=action_places(decisions),
        wrong=wrongly_closed(predictions, decisions, opened),
        other_need=other_need(predictions, decisions),
        simple=predictions.route_probabilities[:, ROUTES.index("simple")],
        intent=predictions.intent_probabilities.max(axis=1, initial=0.0),
    )
