"""`data.annotation`: what Label Studio and Argilla are given, and what comes back, in the formats they document."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given

from data.annotation import argilla, label_studio
from data.annotation.fields import flat, unflat
from data.importing.mapping import identity
from data.importing.posts import import_posts
from data.post import LabelledPost
from data.rejects import SourceError
from data.sources import read_labelled
from data.suggestions import Suggestion, read_suggestions
from data.taxonomy import BUILT_IN, ROUTES
from tests.data.strategies import labelled, labelled_posts
from tests.data.test_commands import run

AUTHOR = {"handle": "@sue", "followers": 12, "verified": True, "bio": "leeds"}
POSTS = [
    labelled(
        "a",
        "where is my parcel",
        author=AUTHOR,
        reach={"reposts": 2},
        in_reply_to="Hi!",
        posted_at="2026-11-22T09:00:00Z",
    ),
    labelled("b", "my card was stolen", route="sensitive", intent="fraud_security"),
]
ANSWER = {
    "id": "b",
    "prediction_id": "01JD",
    "route": {"label": "sensitive", "confidence": 0.9, "probabilities": {"sensitive": 0.9}},
    "intent": {
        "label": "fraud_security",
        "confidence": 0.8,
        "alternatives": [{"label": "fraud_security", "probability": 0.8}],
    },
    "decision": {"action": "specialist"},
    "versions": {"model": "2026.11.22+3fa1c2", "policy": "3"},
}
"""An answer of the server, as docs/api.md has it, shortened."""
SUGGESTIONS = {"b": Suggestion.model_validate(ANSWER)}


def chosen(name: str, *labels: str) -> dict[str, object]:
    """One choice as Label Studio exports it."""
    return {
        "id": "wBXq3z7W2S",
        "type": "choices",
        "origin": "manual",
        "from_name": name,
        "to_name": "text",
        "value": {"choices": list(labels)},
    }


def annotated(tasks: list[dict[str, object]]) -> list[dict[str, Any]]:
    """The JSON export of these tasks after two people labelled them as they are, and one gave up."""
    exported = []
    for number, (task, post) in enumerate(zip(tasks, POSTS, strict=True), start=1):
        results = [chosen("route", post.route), chosen("intent", post.intent)]
        head = {"ground_truth": False, "lead_time": 4.2, "created_at": "2026-11-22T09:00:00.000000Z"}
        annotations = [
            {"id": 10 * number, "completed_by": 1, "result": results, "was_cancelled": False, **head},
            {"id": 10 * number + 1, "completed_by": {"id": 2, "email": "b@mail.example"}, "result": results, **head},
            {"id": 10 * number + 2, "completed_by": 3, "result": [], "was_cancelled": True, **head},
        ]
        exported.append({"id": number, "annotations": annotations, "project": 1, **task})
    return exported


def minimal(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The JSON-MIN export of the same, by one person: data and choices side by side, `id` that of the task."""
    return [
        {
            **task["data"],
            "id": number,
            "route": post.route,
            "intent": post.intent,
            "annotator": 1,
            "annotation_id": number,
        }
        for number, (task, post) in enumerate(zip(tasks, POSTS, strict=True), start=1)
    ]


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@given(labelled_posts())
def test_a_post_comes_back_from_its_flat_values(post: LabelledPost) -> None:
    values = unflat(json.loads(json.dumps(flat(post))))
    columns = {**values, "route": post.route, "intent": post.intent}
    assert {"post_id", "text"} <= set(flat(post))
    assert not any("." in name for name in flat(post))
    assert columns["id"] == post.id
    assert columns.get("author.followers") == post.followers


def test_tasks_show_the_text_and_what_a_model_suggests_but_no_label() -> None:
    first, second = label_studio.tasks(POSTS, SUGGESTIONS)
    assert first == {
        "data": {
            "post_id": "a",
            "text": "where is my parcel",
            "platform": "x",
            "lang": "en",
            "in_reply_to": "Hi!",
            "posted_at": "2026-11-22T09:00:00Z",
            "industry": "other",
            "author_handle": "@sue",
            "author_followers": 12,
            "author_verified": True,
            "author_bio": "leeds",
            "reach_reposts": 2,
        }
    }
    assert second["predictions"] == [
        {
            "model_version": "2026.11.22+3fa1c2",
            "score": 0.8,
            "result": [
                {
                    "from_name": "route",
                    "to_name": "text",
                    "type": "choices",
                    "value": {"choices": ["sensitive"]},
                    "score": 0.9,
                },
                {
                    "from_name": "intent",
                    "to_name": "text",
                    "type": "choices",
                    "value": {"choices": ["fraud_security"]},
                    "score": 0.8,
                },
            ],
        }
    ]


def test_the_labelling_page_has_every_label_and_the_names_that_tasks_use() -> None:
    page = ET.fromstring(label_studio.labelling_page(BUILT_IN))
    choices = {each.attrib["name"]: [one.attrib["value"] for one in each] for each in page.findall("Choices")}
    assert choices == {"route": list(ROUTES), "intent": list(BUILT_IN.names)}
    assert [each.attrib["value"] for each in page.findall("Text")] == ["$text"]
    assert {each.attrib["toName"] for each in page.findall("Choices")} == {"text"}


def test_annotations_of_label_studio_come_back_as_whole_posts(tmp_path: Path) -> None:
    tasks = label_studio.tasks(POSTS, SUGGESTIONS)
    table = label_studio.read_export(write(tmp_path / "export.json", annotated(tasks)))
    imported = import_posts(table, identity(table))
    assert imported.posts == (POSTS[0], POSTS[0], POSTS[1], POSTS[1])
    assert imported.annotators == ("1", "2", "1", "2")
    assert table.described == "Label Studio JSON, 2 tasks"


def test_the_minimal_export_of_label_studio_gives_the_same_posts(tmp_path: Path) -> None:
    table = label_studio.read_export(write(tmp_path / "min.json", minimal(label_studio.tasks(POSTS, {}))))
    assert import_posts(table, identity(table)).posts == tuple(POSTS)


def test_an_annotation_with_two_routes_is_no_label(tmp_path: Path) -> None:
    (task, _) = label_studio.tasks(POSTS, {})
    export = [
        {
            "id": 1,
            **task,
            "annotations": [
                {"completed_by": 1, "result": [chosen("route", "simple", "complex"), chosen("intent", "praise")]}
            ],
        }
    ]
    table = label_studio.read_export(write(tmp_path / "export.json", export))
    (reject,) = import_posts(table, identity(table), keep_going=True).rejects
    assert "route: got 'simple, complex'; wanted a label of ours" in str(reject)


def test_records_show_the_text_and_what_a_model_suggests_but_no_label() -> None:
    first, second = argilla.records(POSTS, SUGGESTIONS)
    assert first["id"] == "a"
    assert first["fields"] == {"text": "where is my parcel", "in_reply_to": "Hi!", "author_bio": "leeds"}
    assert first["metadata"] == {
        "platform": "x",
        "lang": "en",
        "posted_at": "2026-11-22T09:00:00Z",
        "industry": "other",
        "author_handle": "@sue",
        "author_followers": 12,
        "author_verified": "True",
        "reach_reposts": 2,
    }
    assert first["suggestions"] == {}
    assert second["suggestions"] == {
        "route": {"value": "sensitive", "score": 0.9, "agent": "2026.11.22+3fa1c2"},
        "intent": {"value": "fraud_security", "score": 0.8, "agent": "2026.11.22+3fa1c2"},
    }
    assert [question["name"] for question in argilla.settings(BUILT_IN)["questions"]] == ["route", "intent"]


def answered(record: dict[str, Any], post: LabelledPost) -> dict[str, Any]:
    """The record as `to_json` writes it after two people answered."""
    responses = {
        name: [{"value": getattr(post, name), "user_id": user} for user in ("u-1", "u-2")]
        for name in ("route", "intent")
    }
    return {**record, "responses": responses, "_server_id": "5f"}


def flattened(record: dict[str, Any], post: LabelledPost) -> dict[str, Any]:
    """The same as a row of `to_datasets`, with an answer that was only a draft."""
    row = {"id": record["id"], "status": "completed", **record["fields"], **record["metadata"]}
    for name in ("route", "intent"):
        row[f"{name}.responses"] = [getattr(post, name), getattr(post, name)]
        row[f"{name}.responses.users"] = ["u-1", "u-3"]
        row[f"{name}.responses.status"] = ["submitted", "draft"]
    return row


def test_answers_of_argilla_come_back_as_whole_posts(tmp_path: Path) -> None:
    records = [answered(record, post) for record, post in zip(argilla.records(POSTS, SUGGESTIONS), POSTS, strict=True)]
    table = argilla.read_export(write(tmp_path / "records.json", records))
    imported = import_posts(table, identity(table))
    assert imported.posts == (POSTS[0], POSTS[0], POSTS[1], POSTS[1])
    assert imported.annotators == ("u-1", "u-2", "u-1", "u-2")


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_a_data_set_of_argilla_comes_back_in_every_format(suffix: str, tmp_path: Path) -> None:
    rows = [flattened(record, post) for record, post in zip(argilla.records(POSTS, {}), POSTS, strict=True)]
    path = tmp_path / f"dataset{suffix}"
    if suffix == ".parquet":
        pa.parquet.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        write(path, rows)
    table = argilla.read_export(path)
    imported = import_posts(table, identity(table))
    assert (imported.posts, imported.annotators) == (tuple(POSTS), ("u-1", "u-1"))


@pytest.mark.parametrize(
    ("form", "content", "told"),
    [
        ("label-studio", "[1]", "it is no list of tasks"),
        ("label-studio", "{}", "it is no list"),
        ("label-studio", "[{", "it is no JSON"),
        ("label-studio", '[{"id": 1, "data": {"text": "a"}, "annotations": []}]', "1 tasks and no finished annotation"),
        ("argilla", '[{"id": "a", "fields": {"text": "a"}, "responses": {}}]', "1 records and no submitted answer"),
    ],
)
def test_an_export_that_holds_no_answers_is_refused(
    form: str, content: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "export.json").write_text(content)
    code, answers, said = run(capsys, "import", tmp_path / "export.json", "--from", form, "--out", tmp_path / "o.jsonl")
    assert (code, answers, (tmp_path / "o.jsonl").exists()) == (2, [], False)
    assert told in said


@pytest.mark.parametrize("tool", ["label-studio", "argilla"])
def test_the_command_writes_tasks_and_the_page_beside_them(
    tool: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posts = tmp_path / "posts.jsonl"
    posts.write_text("".join(post.model_dump_json() + "\n" for post in POSTS))
    said = tmp_path / "said.jsonl"
    said.write_text(json.dumps(ANSWER) + "\n")
    code, answers, told = run(
        capsys, "export", posts, "--to", tool, "--suggestions", said, "--out", tmp_path / "t.json"
    )
    assert (code, answers[-1]["posts"]) == (0, 2)
    assert Path(answers[-1]["page"]).read_text()
    assert "1 of 2 posts have a suggestion" in told
    assert len(json.loads((tmp_path / "t.json").read_text())) == 2


def test_posts_without_ids_are_not_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "hi"}\n')
    code, _, told = run(capsys, "export", tmp_path / "a.jsonl", "--to", "argilla", "--out", tmp_path / "t.json")
    assert (code, (tmp_path / "t.json").exists()) == (2, False)
    assert "1 posts have no id, and no label could find its way back." in told


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([{**ANSWER, "id": None}], "said.jsonl, line 1, id: got nothing"),
        (
            [ANSWER, {**ANSWER, "route": {"label": "simple", "confidence": 1.2}}],
            "said.jsonl, line 2, route.confidence: got 1.2",
        ),
        ([ANSWER, ANSWER], "said.jsonl, line 2, id: got 'b' a second time"),
    ],
)
def test_suggestions_that_cannot_be_used_are_told_by_line(
    lines: list[dict[str, object]], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "said.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(SourceError) as refused:
        read_suggestions(path)
    assert told in str(refused.value)


def test_imported_annotations_are_a_labelled_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = write(tmp_path / "export.json", annotated(label_studio.tasks(POSTS, {})))
    out = tmp_path / "out.jsonl"
    code, answers, _ = run(capsys, "import", export, "--from", "label-studio", "--out", out)
    assert (code, answers[-1]["posts"]) == (0, 4)
    assert read_labelled(out).posts[::2] == tuple(POSTS)
    code, answers, _ = run(capsys, "agreement", out, "--out", tmp_path / "agreed.jsonl")
    assert (answers[-1]["route"]["alpha"], answers[-1]["majority"]["posts"]) == (1.0, 2)
