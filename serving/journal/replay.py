"""A decision made again: what the model read then, through the same bundle and policy, compared with what was kept.

Owns what "the same" means: every column that the model had a part in, and the answer byte for byte.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from data.post import Post
from data.rendering import Rendered
from models.bundle import MODEL_FILE
from models.policy import Reason, withheld
from models.predictor import Predictor
from serving.answers import answer
from serving.engine import versions_of
from serving.journal.entry import Caller, Entry
from serving.journal.tables import FACTS, Row, row_of
from serving.rules import WITHHELD_CODES


class ReplayError(Exception):
    """A decision that cannot be made again here."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was kept."""

    field: str
    kept: object
    again: object


@dataclass(frozen=True, slots=True)
class Replay:
    """The answer as it was made again, in JSON, and where it or the rest departs from what was kept."""

    answer: str
    differences: tuple[Difference, ...]


def _check_model(row: Row, predictor: Predictor) -> None:
    versions, manifest = versions_of(predictor), predictor.bundle.manifest
    for what, kept, here in (
        (f"{MODEL_FILE} with SHA-256", row["model_sha256"], manifest.files[MODEL_FILE]),
        ("model", row["model_version"], versions.model),
        ("policy", row["policy_version"], versions.policy),
        ("taxonomy", row["taxonomy_version"], versions.taxonomy),
        ("rendering", row["rendering_version"], versions.rendering),
    ):
        if kept != here:
            raise ReplayError(
                f"Prediction {row['prediction_id']} was not made again: it was made by {what} {kept}, and bundle "
                f"{predictor.bundle.directory} has {here}. Wanted: the same. Name the bundle that answered with "
                "--bundle, and the policy file that it had, if any, with SIGNALBOX_POLICY."
            )


def _entry_again(row: Row, predictor: Predictor) -> Entry:
    """The entry that the row's input leads to now. Of the answer kept, it takes the caller's id for the post alone."""
    kept = json.loads(row["answer"])
    prediction = predictor.predict_rendered(Rendered(row["text"], row["context"]), FACTS.validate_json(row["facts"]))
    first = Reason(**kept["decision"]["reasons"][0])
    if first.code in WITHHELD_CODES:  # what was forbidden then is no more a part of the model than the time of day
        prediction = replace(prediction, decision=withheld(prediction.decision, first, prediction.route))
    posted_at = row["posted_at"] and datetime.fromisoformat(row["posted_at"])
    # The answer asks two things of a post; of the rest the journal knows nothing.
    post = Post.model_construct(id=kept["id"], posted_at=posted_at)
    made = answer(
        post,
        prediction,
        prediction_id=row["prediction_id"],
        policy=predictor.policy,
        versions=versions_of(predictor),
    )
    return Entry(
        caller=Caller(row["request_id"], row["key_name"], row["received_at"], 0.0),
        posted_at=posted_at,
        prediction=prediction,
        answer=made,
        model_sha256=row["model_sha256"],
        latency_ms=row["latency_ms"],
        lane=row["lane"],
    )


def _leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    """The values within parsed JSON, each with its path, as `answer.decision.reasons.0.code`."""
    if isinstance(value, Mapping):
        parts = [(str(name), each) for name, each in value.items()]
    elif isinstance(value, list):
        parts = [(str(place), each) for place, each in enumerate(value)]
    else:
        parts = []
        yield path, value
    for name, each in parts:
        yield from _leaves(each, f"{path}.{name}")


def _differences(kept: Row, again: Row) -> Iterator[Difference]:
    for column, value in again.items():
        if kept[column] == value:
            continue
        if column not in ("answer", "routes", "intents", "facts"):
            yield Difference(column, kept[column], value)
            continue
        before, after = (dict(_leaves(json.loads(text), column)) for text in (kept[column], value))
        found = [
            Difference(path, before.get(path), after.get(path))
            for path in {**before, **after}
            if before.get(path) != after.get(path)
        ]
        yield from found or [Difference(column, "the same values", "in other bytes")]


def replay(row: Row, predictor: Predictor) -> Replay:
    """What the row's input leads to now, and every difference from what the row says.

    Raises:
        ReplayError: when the predictor is not the one that answered, or the row cannot be read.
    """
    _check_model(row, predictor)
    try:
        entry = _entry_again(row, predictor)
        again = row_of(entry)
        return Replay(again["answer"], tuple(_differences(row, again)))
    except (ValidationError, ValueError, TypeError, KeyError):
        raise ReplayError(
            f"Prediction {row['prediction_id']} was not made again: its row in the journal is not one that this "
            "program wrote. Wanted: a row as it was written. Restore it from a copy of the journal."
        ) from None
