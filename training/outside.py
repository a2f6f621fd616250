"""Labelled posts that take no part in making a model: the finished one is measured with them, and nothing more.

Only figures leave this module, never a post.
"""

from dataclasses import dataclass
from pathlib import Path

from data.post import LabelledPost
from data.rejects import SourceError
from data.sources import read_labelled
from data.taxonomy import Taxonomy
from evaluation.predictions import predict_posts
from evaluation.summary import Summary, summarise
from models.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Outside:
    """The posts of a file, of one `language` or, where that is `None`, of all."""

    file: str
    language: str | None
    posts: tuple[LabelledPost, ...]


def read_outside(file: Path, language: str | None, taxonomy: Taxonomy) -> Outside:
    """The posts of `file` in `language`, labelled by the `taxonomy`.

    Raises:
        SourceError: when the file cannot be read or holds no such post.
    """
    posts = read_labelled(file, taxonomy=taxonomy).posts
    spoken = tuple(post for post in posts if language in (None, post.lang))
    if not spoken:
        raise SourceError(
            f"The file {file} has nothing to measure with: none of its {len(posts)} posts is in {language!r}, they are "
            f"in {', '.join(sorted({post.lang for post in posts}))}. Give one of these: --measure {file}:LANG."
        )
    return Outside(file.name, language, spoken)


def score_outside(predictor: Predictor, outside: Outside) -> Summary:
    """What the finished model makes of posts that took no part in making it; figures only, no post."""
    summary = summarise(predict_posts(predictor, outside.posts), predictor.policy)
    decisions = summary["decisions"]
    return {
        "file": outside.file,
        "languages": [outside.language] if outside.language else [],
        "posts": len(outside.posts),
        "accuracy": summary["route"]["accuracy"]["value"],
        "macro_f1": summary["route"]["macro_f1"]["value"],
        "f1": {each["label"]: each["f1"] and each["f1"]["value"] for each in summary["route"]["classes"]},
        "intent_accuracy": summary["intent"]["accuracy"]["value"],
        "automatic_share": decisions["automatic_share"]["value"],
        "wrong": decisions["wrong"],
        "leak": decisions["leak"],
    }
