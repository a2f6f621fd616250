"""Argilla 2.x: posts as records with suggestions, the settings of their data set, and its exports as a table.

Formats: `rg.Dataset.records.to_json` (records, nested) and `rg.Dataset.records.to_datasets` (flat columns, as JSON,
JSON Lines or Parquet), as the `argilla` library writes and reads them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from data.annotation.fields import LABELS, POST_ID, flat, unflat
from data.annotation.label_studio import read_json
from data.importing.mapping import ANNOTATOR
from data.importing.tables import Table, flat_table, read_table
from data.post import Post
from data.rejects import SourceError
from data.suggestions import Said, Suggestion
from data.taxonomy import ROUTES, Taxonomy

_FIELDS = ("text", "in_reply_to", "author_bio")
"""What an annotator reads; all else is metadata, to filter by."""
_SUBMITTED = "submitted"


def _suggested(said: Said, model: str) -> dict[str, object]:
    return {"value": said.label, "score": said.confidence, "agent": model}


def records(posts: Iterable[Post], suggestions: Mapping[str, Suggestion]) -> list[dict[str, object]]:
    """A record for every post, as `records.from_json` reads it, with what the model suggests where it says something.

    Labels that the posts have already are not shown: they would sway who labels.
    """
    made: list[dict[str, object]] = []
    for post in posts:
        values = flat(post)
        said = suggestions.get(post.id or "")
        record: dict[str, object] = {
            "id": values.pop(POST_ID, None),
            "fields": {name: values.pop(name) for name in _FIELDS if name in values},
            "metadata": {name: str(value) if isinstance(value, bool) else value for name, value in values.items()},
            "suggestions": {},
            "responses": {},
            "vectors": {},
        }
        if said:
            model = said.versions.model
            record["suggestions"] = {"route": _suggested(said.route, model), "intent": _suggested(said.intent, model)}
        made.append(record)
    return made


def settings(taxonomy: Taxonomy) -> dict[str, Any]:
    """What `rg.Settings` is called with: the fields to read, and a question for each label."""
    return {
        "fields": [{"name": name, "required": name == "text"} for name in _FIELDS],
        "questions": [
            {"name": "route", "labels": list(ROUTES)},
            {"name": "intent", "labels": list(taxonomy.names)},
        ],
        "allow_extra_metadata": True,
    }


def _row(values: Mapping[str, Any], answers: Mapping[str, Mapping[str, object]]) -> Iterator[dict[str, object]]:
    for person, given in answers.items():
        yield {**values, **given, ANNOTATOR: person}


def _nested(record: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    """The rows of one record of `to_json`: one for each person who answered."""
    values = unflat({**record["fields"], **(record.get("metadata") or {})}) | {"id": record.get("id")}
    answers: dict[str, dict[str, object]] = defaultdict(dict)
    for name in LABELS:
        for response in (record.get("responses") or {}).get(name) or []:
            if (response.get("status") or _SUBMITTED) == _SUBMITTED:
                answers[str(response.get("user_id"))][name] = response["value"]
    yield from _row(values, answers)


def _flat(record: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    """The rows of one row of `to_datasets`, where the answers of a question are a list beside that of their users."""
    values = unflat(record) | {"id": record.get("id")}
    answers: dict[str, dict[str, object]] = defaultdict(dict)
    for name in LABELS:
        given = record.get(f"{name}.responses") or []
        users = record.get(f"{name}.responses.users") or [None] * len(given)
        states = record.get(f"{name}.responses.status") or [None] * len(given)
        for value, user, state in zip(given, users, states, strict=True):
            if (state or _SUBMITTED) == _SUBMITTED:
                answers[str(user)][name] = value
    yield from _row(values, answers)


def read_export(path: Path) -> Table:
    """The answers in an export of Argilla, a row for each person and record.

    Raises:
        SourceError: when it is no such export, or holds no submitted answer.
    """
    wanted = "records of Argilla 2.x (`dataset.records.to_json`, or `to_datasets` as JSON, JSON Lines or Parquet)"
    if path.suffix.lower() == ".json":
        content: list[Any] = read_json(path, wanted)
    else:
        content = [row.values for row in read_table(path).rows]
    if not all(isinstance(record, dict) for record in content):
        raise SourceError(f"{path} could not be read: it is no list of records. Wanted {wanted}. Export it again.")
    is_nested = any("fields" in record for record in content)
    rows = [row for record in content for row in (_nested(record) if is_nested else _flat(record))]
    if not rows:
        raise SourceError(
            f"{path} holds {len(content)} records and no submitted answer to a question named route or intent. "
            f"Wanted {wanted}. Check the names of the questions."
        )
    return flat_table(str(path), rows, f"Argilla, {len(content):,} records")
