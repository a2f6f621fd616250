"""Posts and predictions as flat rows, for whoever thinks in tables: columns in, columns out, and nothing of pandas.

A column is a field of a post, that of an author or a reach by its dotted name (`author.followers`) or the bare one
(`followers`), which means the same. An empty cell is a field that is not known.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from data.post import Author, Post, Reach
from models.bundle import Bundle
from models.policy import Policy
from models.predictor import Prediction

PROBABILITY_DIGITS = 6
"""As the HTTP interface rounds: finer differences are the processor's, not the model's."""

_INNER = {"author": tuple(Author.model_fields), "reach": tuple(Reach.model_fields)}
_PLACES: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in Post.model_fields if name not in (*_INNER, "id")},
    **{f"{outer}.{name}": (outer, name) for outer, names in _INNER.items() for name in names},
    **{name: (outer, name) for outer, names in _INNER.items() for name in names},
}
INPUT_COLUMNS: tuple[str, ...] = tuple(_PLACES)
"""Every column that is read; `text` alone is needed, any other column is not looked at."""
OUTPUT_COLUMNS: Mapping[str, type[str | float | bool]] = {
    "route": str,
    "route_confidence": float,
    "route_probabilities": str,
    "intent": str,
    "intent_confidence": float,
    "action": str,
    "queue": str,
    "abstained": bool,
    "move_to_private": bool,
    "reasons": str,
    "truncated": bool,
    "model_version": str,
    "policy_version": str,
    "taxonomy_version": str,
    "rendering_version": str,
}
"""The columns of an answer in order; `route_probabilities` and `reasons` are JSON."""


class RowError(ValueError):
    """A row that is no post. Names the columns and never shows what stood there."""


def _kind(value: object) -> str:
    return (
        f"a {type(value).__name__} of {len(value)} characters"
        if isinstance(value, str)
        else f"a {type(value).__name__}"
    )


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, each['loc']))} is {'missing' if each['type'] == 'missing' else _kind(each['input'])}, "
        f"wanted: {each['msg']}"
        for each in error.errors(include_url=False)
    )


def post_of_row(row: Mapping[str, object]) -> Post:
    """The post that stands in a row; cells that are `None` are not known, columns that are no field are not read.

    Raises:
        RowError: when the cells are no post, or a field stands in two columns.
    """
    values: dict[str, Any] = {}
    for column, place in _PLACES.items():
        if row.get(column) is None:
            continue
        *outer, name = place
        home = values.setdefault(outer[0], {}) if outer else values
        if name in home:
            raise RowError(f"{'.'.join(place)} stands in two columns, wanted: one. Leave out {name!r}.")
        home[name] = row[column]
    try:
        return Post.model_validate(values)
    except ValidationError as error:
        raise RowError(f"{_problems(error)}. Correct these cells, or leave them empty.") from None


def row_of_prediction(prediction: Prediction, bundle: Bundle, policy: Policy) -> dict[str, str | float | bool]:
    """The answer for one post as a row of `OUTPUT_COLUMNS`, by the model of `bundle` under `policy`."""
    decision, manifest = prediction.decision, bundle.manifest
    probabilities = {name: round(value, PROBABILITY_DIGITS) for name, value in prediction.routes.items()}
    return {
        "route": prediction.route,
        "route_confidence": probabilities[prediction.route],
        "route_probabilities": json.dumps(probabilities),
        "intent": prediction.intent,
        "intent_confidence": round(prediction.intents[prediction.intent], PROBABILITY_DIGITS),
        "action": decision.action,
        "queue": decision.queue,
        "abstained": decision.abstained,
        "move_to_private": decision.move_to_private,
        "reasons": json.dumps([{"code": each.code, "detail": each.detail} for each in decision.reasons]),
        "truncated": prediction.facts.truncated,
        "model_version": manifest.model_version,
        "policy_version": policy.version,
        "taxonomy_version": manifest.taxonomy,
        "rendering_version": manifest.rendering,
    }
