"""The three files of the report, written to a directory. Owns what stands in them and how the page is filled.

The page is one HTML file: styles, script, Plotly and the posts are inside. Text of posts is redacted, then embedded
as JSON that cannot end its script element (`<`, `>`, `&` and `'` are escaped), and put on the page as text only.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from data.dependencies import needs_group
from data.fingerprint import fingerprint
from data.html import PAGE_TEMPLATES
from data.taxonomy import ROUTES
from evaluation.certificates import explain
from evaluation.predictions import Predictions
from evaluation.report.cases import KINDS, Case, read_cases, table_of
from evaluation.report.figures import reliability_diagram, risk_coverage_curve
from evaluation.summary import ACTIONS, Summary, summarise
from models.policy import Policy

with needs_group("evaluate", "Writing the report"):
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

HTML_FILE, JSON_FILE, ERRORS_FILE = "report.html", "report.json", "errors.csv"
MAX_CASES = 5_000
"""Posts that the page holds, the worst first: about 4 MB. A larger set is cut, and the page says so."""
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a report is of: the bundle, the labelled posts, and when it was made."""

    model_version: str
    precision: str
    file: str
    part: str | None
    languages: tuple[str, ...]
    created_at: datetime

    def as_json(self, predictions: Predictions) -> dict[str, Any]:
        """The same for JSON, with the fingerprint of the posts."""
        return asdict(self) | {
            "languages": list(self.languages),
            "created_at": self.created_at.isoformat(timespec="seconds"),
            "posts_fingerprint": fingerprint(predictions.posts),
        }


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where the three files of a report are."""

    html: Path
    json: Path
    errors: Path


def _column_totals(matrix: Sequence[Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip(*matrix, strict=True)]


def page_environment(*own: Path) -> Environment:
    """What fills a page: templates of `own` directories before those of the report, every value escaped."""
    loader = FileSystemLoader([*own, _TEMPLATES, PAGE_TEMPLATES])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"columns": _column_totals, "zip": zip}
    return environment


def render_page(origin: dict[str, Any], predictions: Predictions, summary: Summary, cases: Sequence[Case]) -> str:
    """The HTML of the report; `cases` stand the worst first."""
    kept = cases[:MAX_CASES]
    template = page_environment().get_template("report.html.j2")
    return template.render(
        origin=origin,
        summary=summary,
        routes=ROUTES,
        actions=ACTIONS,
        kinds=KINDS,
        certificates=summary["decisions"]["certificates"],
        cases={"all": len(cases), "fields": [field.name for field in fields(Case)], "rows": [_values(c) for c in kept]},
        figures={"reliability": reliability_diagram(predictions), "risk": risk_coverage_curve(predictions)},
        plotly_js=get_plotlyjs(),
    )


def _values(case: Case) -> list[Any]:
    return [getattr(case, field.name) for field in fields(case)]


def _write_errors(path: Path, cases: Sequence[Case]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(table_of(case for case in cases if case.kind != "right"))


def write_report(directory: Path, origin: Origin, predictions: Predictions, policy: Policy) -> ReportFiles:
    """The files of the report on `predictions` under `policy`, written to `directory`, which is made if need be.

    Raises:
        ValueError: when there is no post.
        OSError: when the directory cannot be written.
    """
    summary, cases = summarise(predictions, policy), read_cases(predictions, policy)
    described = origin.as_json(predictions)
    files = ReportFiles(directory / HTML_FILE, directory / JSON_FILE, directory / ERRORS_FILE)
    directory.mkdir(parents=True, exist_ok=True)
    proofs = [explain(each) for each in policy.certificates]
    files.html.write_text(render_page(described | {"explained": proofs}, predictions, summary, cases), encoding="utf-8")
    content = {"origin": described, "summary": summary}
    files.json.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    _write_errors(files.errors, cases)
    return files
