"""Label Studio: posts as tasks with predictions, the labelling page, and its JSON and JSON-MIN exports as a table.

Formats: "Label Studio JSON format of annotated tasks" and "Import pre-annotated data" of labelstud.io.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from data.annotation.fields import LABELS, POST_ID, flat, unflat
from data.importing.mapping import ANNOTATOR
from data.importing.tables import Table, flat_table
from data.post import Post
from data.rejects import SourceError
from data.suggestions import Said, Suggestion
from data.taxonomy import ROUTES, Taxonomy

_TEXT = "text"


def labelling_page(taxonomy: Taxonomy) -> str:
    """The labelling configuration (XML): the text, what is known of its author, and a choice for each label."""

    def choices(name: str, labels: Iterable[str]) -> str:
        options = "\n".join(f"    <Choice value={quoteattr(label)}/>" for label in labels)
        head = f'  <Header value="{name.capitalize()}"/>\n  <Choices name="{name}" toName="{_TEXT}" choice="single"'
        return f'{head} required="true" showInline="true">\n{options}\n  </Choices>'

    return (
        f'<View>\n  <Text name="{_TEXT}" value="$text"/>\n'
        f"{choices('route', ROUTES)}\n{choices('intent', taxonomy.names)}\n</View>\n"
    )


def _choice(name: str, said: Said) -> dict[str, object]:
    value = {"choices": [said.label]}
    return {"from_name": name, "to_name": _TEXT, "type": "choices", "value": value, "score": said.confidence}


def _prediction(suggestion: Suggestion) -> dict[str, object]:
    return {
        "model_version": suggestion.versions.model,
        "score": min(suggestion.route.confidence, suggestion.intent.confidence),
        "result": [_choice("route", suggestion.route), _choice("intent", suggestion.intent)],
    }


def tasks(posts: Iterable[Post], suggestions: Mapping[str, Suggestion]) -> list[dict[str, object]]:
    """A task for every post, with what the model suggests where it says something.

    Labels that the posts have already are not shown: they would sway who labels.
    """
    made: list[dict[str, object]] = []
    for post in posts:
        said = suggestions.get(post.id or "")
        made.append({"data": flat(post), **({"predictions": [_prediction(said)]} if said else {})})
    return made


def _chosen(results: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """The one choice of each control; several are kept as a list, which no label is."""
    found: dict[str, object] = {}
    for result in results:
        if result.get("type") == "choices" and result.get("from_name") in LABELS:
            choices = result.get("value", {}).get("choices", [])
            found[result["from_name"]] = choices[0] if len(choices) == 1 else ", ".join(choices)
    return found


def _person(annotation: Mapping[str, Any]) -> str:
    """Who annotated: Label Studio gives a number, or an object with an e-mail address."""
    by = annotation.get("completed_by")
    return str(by.get("id") or by.get("email")) if isinstance(by, dict) else str(by)


def _annotated(task: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    """The rows of one task of the JSON export: one for each finished annotation."""
    values = unflat(task["data"])
    values.setdefault("id", str(task.get("id")))
    for annotation in task.get("annotations", []):
        if not annotation.get("was_cancelled"):
            yield {**values, **_chosen(annotation.get("result", [])), ANNOTATOR: _person(annotation)}


def _minimal(task: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    """The row of one annotation of the JSON-MIN export, where data and choices stand side by side."""
    chosen = {name: _joined(task[name]) for name in LABELS if task.get(name) is not None}
    if not chosen:
        return
    values = unflat(task)
    values.setdefault("id", str(task.get("id")))
    yield {**values, **chosen, ANNOTATOR: str(task.get("annotator"))}


def _joined(value: object) -> object:
    return ", ".join(value.get("choices", [])) if isinstance(value, dict) else value


def read_export(path: Path) -> Table:
    """The annotations in an export of Label Studio, a row each: JSON or JSON-MIN.

    Raises:
        SourceError: when it is neither, or holds no annotation.
    """
    content = read_json(path, "an export of Label Studio (JSON or JSON-MIN)")
    if not all(isinstance(task, dict) for task in content):
        raise SourceError(f"{path} could not be read: it is no list of tasks. Export from Label Studio as JSON.")
    is_whole = any(isinstance(task.get("data"), dict) for task in content)
    rows = [row for task in content for row in (_annotated(task) if is_whole else _minimal(task))]
    kind = "JSON" if is_whole else "JSON-MIN"
    if not rows:
        raise SourceError(
            f"{path} holds {len(content)} tasks and no finished annotation with a choice named route or intent. "
            f"Wanted annotations made on the page that `python -m data export` writes. Check the project ({POST_ID})."
        )
    return flat_table(str(path), rows, f"Label Studio {kind}, {len(content):,} tasks")


def read_json(path: Path, wanted: str) -> list[Any]:
    """The list in a JSON file.

    Raises:
        SourceError: when there is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SourceError(f"{path} could not be read: {error.strerror}. Wanted {wanted}. Check the path.") from None
    except ValueError as error:
        raise SourceError(
            f"{path} could not be read: it is no JSON ({error}). Wanted {wanted}. Export it again."
        ) from None
    if not isinstance(content, list):
        raise SourceError(f"{path} could not be read: it is no list. Wanted {wanted}. Export it again.")
    return content
