"""All figures of a bundle on a set of labelled posts, as one JSON object. Owns its shape (`docs/evaluation.md`).

The same object stands in a bundle's `metrics.json`, in `report.json` and on the last line of `python -m evaluation
score`, so a figure has one name everywhere.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, get_args

import numpy as np

from data.taxonomy import ROUTES
from evaluation.certificates import LEAKS
from evaluation.closings import other_need, wrongly_closed
from evaluation.metrics import (
    brier,
    confusion,
    equal_mass_bins,
    equal_width_bins,
    estimate_share,
    exact_share,
    expected_calibration_error,
    label_figures,
    log_loss,
)
from evaluation.predictions import BoolArray, IntArray, Predictions
from evaluation.risk import RISKS, answerable_share, augrc, aurc, coverage_at_risk
from evaluation.slices import slice_predictions
from models.calibration import FloatArray
from models.policy import Action, Decision, Policy

SUMMARY_FORMAT = "1"
ACTIONS: tuple[Action, ...] = get_args(Action)

Summary = dict[str, Any]
"""A JSON object; its fields are documented in docs/evaluation.md."""


def _labels(true: IntArray, predicted: IntArray, labels: Sequence[str], groups: IntArray) -> Summary:
    figures = label_figures(true, predicted, labels, groups)
    return {
        "accuracy": asdict(figures.accuracy),
        "macro_f1": asdict(figures.macro_f1),
        "classes": [asdict(each) for each in figures.classes],
        "absent": [each.label for each in figures.classes if not each.support],
        "labels": list(labels),
        "confusion": confusion(true, predicted, len(labels)).tolist(),
    }


def _calibration(probabilities: FloatArray, true: IntArray) -> Summary:
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == true
    return {
        "ece_equal_mass": expected_calibration_error(equal_mass_bins(confidence, right)),
        "ece_equal_width": expected_calibration_error(equal_width_bins(confidence, right)),
        "brier": brier(probabilities, true),
        "negative_log_likelihood": log_loss(probabilities, true),
        "mean_confidence": float(confidence.mean()),
    }


def _selective(predictions: Predictions) -> Summary:
    confidence = predictions.route_probabilities.max(axis=1)
    wrong = predictions.predicted_routes != predictions.routes
    simple = predictions.route_probabilities[:, ROUTES.index("simple")]
    return {
        "aurc": aurc(confidence, wrong),
        "augrc": augrc(confidence, wrong),
        "coverage_at_risk": {f"{risk:.2f}": coverage_at_risk(confidence, wrong, risk) for risk in RISKS},
        "simple_answerable_at_wrong": {
            f"{risk:.2f}": answerable_share(simple, predictions.is_route("simple"), risk) for risk in RISKS
        },
    }


def _exact_share(is_event: BoolArray, is_trial: BoolArray) -> Summary:
    """Events within trials with the exact two-sided interval."""
    events, trials = int((is_event & is_trial).sum()), int(is_trial.sum())
    if not trials:
        return {"events": events, "trials": trials, "value": None, "low": None, "high": None}
    return {"events": events, "trials": trials, **asdict(exact_share(events, trials))}


def _decisions(predictions: Predictions, decisions: list[Decision], policy: Policy) -> Summary:
    closed = np.array([decision.closed_by_machine for decision in decisions], dtype=np.bool_)
    abstained = np.array([decision.abstained for decision in decisions], dtype=np.bool_)
    wrong = wrongly_closed(predictions, decisions, policy)
    pairs = Counter((decision.action, post.route) for decision, post in zip(decisions, predictions.posts, strict=True))
    actions = Counter(decision.action for decision in decisions)
    reasons = Counter(reason.code for decision in decisions for reason in decision.reasons)
    return {
        "policy_version": policy.version,
        "thresholds": policy.thresholds.model_dump(mode="json"),
        "budget": policy.budget.model_dump(mode="json"),
        "certificates": [each.model_dump(mode="json") for each in policy.certificates],
        "actions": {action: actions[action] / len(decisions) for action in ACTIONS},
        "automatic_share": asdict(estimate_share(closed, predictions.groups)),
        "abstained_share": asdict(estimate_share(abstained, predictions.groups)),
        "simple_closed": _exact_share(closed, predictions.is_route("simple")),
        "leak": {route: _exact_share(closed, predictions.is_route(route)) for route in LEAKS.values()},
        "wrong": _exact_share(wrong, closed),
        "other_need": _exact_share(
            other_need(predictions, decisions),
            np.array([decision.action == "auto_answer" for decision in decisions], dtype=np.bool_),
        ),
        "by_true_route": {action: {route: pairs[action, route] for route in ROUTES} for action in ACTIONS},
        "reasons": dict(sorted(reasons.items())),
    }


def summarise(predictions: Predictions, policy: Policy, decisions: list[Decision] | None = None) -> Summary:
    """All figures of `predictions` under `policy`, fit for JSON: no NaN, `None` where a figure is not defined.

    `decisions` are what the policy makes of them, where that is known already.

    Raises:
        ValueError: when there is no post.
    """
    if not len(predictions):
        raise ValueError(
            "Nothing to summarise: got 0 labelled posts, wanted at least 1. Check the file, the part and the languages."
        )
    true, said = predictions.routes, predictions.predicted_routes
    return {
        "format": SUMMARY_FORMAT,
        "posts": len(predictions),
        "groups": len(np.unique(predictions.groups)),
        "posts_by_route": {route: int(predictions.is_route(route).sum()) for route in ROUTES},
        "route": _labels(true, said, ROUTES, predictions.groups)
        | {"calibration": _calibration(predictions.route_probabilities, true)},
        "intent": _labels(
            predictions.intents, predictions.predicted_intents, predictions.taxonomy.names, predictions.groups
        )
        | {"calibration": _calibration(predictions.intent_probabilities, predictions.intents)},
        "selective": _selective(predictions),
        "decisions": _decisions(predictions, decisions or predictions.decide(policy), policy),
        "slices": [asdict(each) for each in slice_predictions(predictions)],
    }
