"""`python -m data export` and `agreement`: tasks for annotation tools, and how far people agree."""

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.annotation import argilla, label_studio
from data.annotation.agreement import Labelling, majority, measure
from data.annotation.labellings import LABEL_KINDS, read_labellings
from data.console import DONE, AddVerb, add_taxonomy, answer, say, taxonomy_of
from data.output import whole_file
from data.post import LabelledPost, Post
from data.progress import progress_bar
from data.rejects import SourceError
from data.sources import read_posts, write_labelled
from data.suggestions import Suggestion, read_suggestions

_TOOLS = ("label-studio", "argilla")


def _posts(arguments: Namespace) -> Sequence[Post]:
    reading = read_posts(arguments.file, watch=progress_bar)
    without = sum(post.id is None for post in reading.posts)
    if without:
        raise SourceError(
            f"{arguments.file} was not exported: {without} posts have no id, and no label could find its way back. "
            "Wanted an id for every post. Import the file first: python -m data import"
        )
    return reading.posts


def _suggestions(arguments: Namespace, posts: Sequence[Post]) -> Mapping[str, Suggestion]:
    if not arguments.suggestions:
        return {}
    suggestions = read_suggestions(arguments.suggestions)
    said = sum(post.id in suggestions for post in posts)
    say(f"{said:,} of {len(posts):,} posts have a suggestion in {arguments.suggestions}.")
    return suggestions


def _export(arguments: Namespace) -> int:
    posts = _posts(arguments)
    suggestions, taxonomy = _suggestions(arguments, posts), taxonomy_of(arguments)
    if arguments.to == "label-studio":
        content = label_studio.tasks(posts, suggestions)
        page, project = arguments.out.with_suffix(".xml"), label_studio.labelling_page(taxonomy)
    else:
        content = argilla.records(posts, suggestions)
        page = arguments.out.with_suffix(".settings.json")
        project = json.dumps(argilla.settings(taxonomy), indent=1) + "\n"
    with whole_file(arguments.out) as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
    with whole_file(page) as file:
        file.write(project)
    say(f"{len(content):,} posts: {arguments.out}. What the labelling page needs: {page}.")
    answer({"out": str(arguments.out), "page": str(page), "posts": len(content)})
    return DONE


def _agreement(arguments: Namespace) -> int:
    both = list(read_labellings(arguments.files, taxonomy_of(arguments), progress_bar))
    labellings = [labelling for labelling, _ in both]
    measured = [measure(labellings, kind) for kind in LABEL_KINDS]
    for each in measured:
        say(each.as_text())
    content: dict[str, Any] = {each.kind: each.as_json() for each in measured}
    if arguments.out:
        content["majority"] = _write_majority(arguments.out, labellings, {post.id: post for _, post in both})
    answer(content)
    return DONE


def _write_majority(path: Path, labellings: Sequence[Labelling], posts: Mapping[str, LabelledPost]) -> dict[str, Any]:
    agreed = {kind: majority(labellings, kind) for kind in LABEL_KINDS}
    kept = [
        post.model_copy(update={kind: agreed[kind][post_id] for kind in LABEL_KINDS})
        for post_id, post in posts.items()
        if all(post_id in agreed[kind] for kind in LABEL_KINDS)
    ]
    write_labelled(path, kept)
    open_ids = [post_id for post_id in posts if any(post_id not in agreed[kind] for kind in LABEL_KINDS)]
    say(f"{len(kept):,} posts with the label that most gave: {path}. {len(open_ids):,} are undecided and left out.")
    return {"out": str(path), "posts": len(kept), "undecided": open_ids}


def add(verb: AddVerb) -> None:
    """Nothing; the verbs `export` and `agreement` stand on the command line afterwards."""
    exporting = verb(
        "export",
        _export,
        "tasks for Label Studio or records for Argilla, with a model's suggestions",
        "export my-posts.jsonl --to label-studio --suggestions said.jsonl --out tasks.json",
        keeps_going=False,
    )
    exporting.add_argument("file", metavar="FILE", help="posts with ids; labels that stand there are not exported")
    exporting.add_argument("--to", choices=_TOOLS, required=True, help="the tool")
    exporting.add_argument("--out", type=Path, required=True, metavar="OUT", help="the JSON file to write")
    exporting.add_argument("--suggestions", type=Path, metavar="IN", help="what `python -m evaluation predict` wrote")
    agreeing = verb(
        "agreement",
        _agreement,
        "Krippendorff's alpha where several people labelled, and which labels they confuse",
        "agreement anna.jsonl ben.jsonl --out agreed.jsonl",
        keeps_going=False,
    )
    agreeing.add_argument("files", nargs="+", metavar="FILE", help="one with the field annotator, or one a person")
    agreeing.add_argument("--out", type=Path, metavar="OUT", help="write the posts with the label that most gave")
    for added in (exporting, agreeing):
        add_taxonomy(added)
