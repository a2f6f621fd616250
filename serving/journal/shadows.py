"""What another model made of a post that one has answered, as a row of its own: scores, action, and how far apart."""

import json
from collections.abc import Mapping

from data.taxonomy import Route
from serving.journal.entry import Comparison
from serving.journal.facets import ms_of
from serving.journal.tables import Row


def total_variation(one: Mapping[Route, float], other: Mapping[Route, float]) -> float:
    """How far two distributions over the same labels are apart: half the sum of their differences, 0 to 1."""
    return sum(abs(value - other[name]) for name, value in one.items()) / 2


def shadow_of(comparison: Comparison) -> Row:
    """The row of a comparison."""
    return {
        "prediction_id": comparison.prediction_id,
        "at_ms": ms_of(comparison.received_at),
        "model_version": comparison.model_version,
        "route": comparison.route,
        "action": comparison.action,
        "routes": json.dumps(dict(comparison.routes)),
        "distance": total_variation(comparison.answered, comparison.routes),
    }
