"""The report as files: figures as JSON, matrix and posts as CSV, pictures as SVG, which the page makes PNG of."""

import json
from collections.abc import Iterable
from typing import Any

from starlette.responses import Response

from data.spreadsheet import guarded
from evaluation.report.cases import Case, table_of
from evaluation.summary import Summary
from serving.workbench.confusion.scorings import Scored
from serving.workbench.confusion.where import Where
from serving.workbench.files import as_csv, as_file


def origin_of(scored: Scored, where: Where) -> dict[str, Any]:
    """What a report is of, for JSON."""
    return {
        "model_version": scored.model_version,
        "precision": scored.precision,
        "policy_version": scored.policy.version,
        "file": scored.posts,
        "posts_fingerprint": scored.fingerprint,
        "where": where.as_query(),
    }


def figures_json(scored: Scored, where: Where, summary: Summary) -> Response:
    """All figures, as `summary` of report.json has them (docs/evaluation.md)."""
    content = {"origin": origin_of(scored, where), "summary": summary}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return as_file(f"{text}\n", "confusion.json", "application/json")


def matrix_csv(head: str, summary: Summary) -> Response:
    """The matrix of a head: a row for each true label, a column for each label that was said."""
    labels = summary[head]["labels"]
    rows = [[guarded(label), *counts] for label, counts in zip(labels, summary[head]["confusion"], strict=True)]
    return as_csv([["true label", *labels], *rows], f"confusion-{head}.csv")


def posts_csv(cases: Iterable[Case]) -> Response:
    """The posts with their labels and decisions, as errors.csv has them; texts are masked."""
    return as_csv(list(table_of(cases)), "posts.csv")
