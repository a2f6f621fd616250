"""The three files of a comparison: the page for people, the JSON that a promotion is bound to, the flips as a table.

The JSON names both bundles by the hash of their manifest and the posts by their fingerprint, without any text.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from data.dependencies import needs_group
from data.spreadsheet import guarded
from evaluation.comparison.checks import Check, SliceChange
from evaluation.comparison.figures import difference_plot, reliability_plot, risk_plot
from evaluation.comparison.flips import KINDS, Flip
from evaluation.comparison.settings import Gate
from evaluation.comparison.sides import Pair, Side, manifest_sha256
from evaluation.report.page import page_environment

with needs_group("evaluate", "Writing the comparison"):
    from plotly.offline import get_plotlyjs

HTML_FILE, JSON_FILE, FLIPS_FILE = "comparison.html", "comparison.json", "flips.csv"
COMPARISON_FORMAT = "1"
MAX_FLIPS = 2_000
"""Posts that the page holds, the worst first; flips.csv holds all."""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """All that is told of a comparison."""

    pair: Pair
    gate: Gate
    checks: tuple[Check, ...]
    slices: tuple[SliceChange, ...]
    flips: tuple[Flip, ...]
    file: str
    part: str | None
    posts_fingerprint: str
    created_at: datetime

    @property
    def passed(self) -> bool:
        """True where no check failed."""
        return not any(check.passed is False for check in self.checks)

    @property
    def reasons(self) -> list[str]:
        """Why it was not passed, a line for each check that failed."""
        return [f"{check.name}: {check.words}" for check in self.checks if check.passed is False]


@dataclass(frozen=True, slots=True)
class ComparisonFiles:
    """Where the three files of a comparison are."""

    html: Path
    json: Path
    flips: Path


def _side_json(side: Side) -> dict[str, Any]:
    manifest = side.bundle.manifest
    return {
        "model_version": manifest.model_version,
        "manifest_sha256": manifest_sha256(side.bundle),
        "precision": manifest.precision,
        "policy_version": side.policy.version,
        "data_fingerprint": manifest.data_fingerprint,
        "intents": len(side.intents),
        "behaviour": [
            {"capability": each.capability, "cases": each.cases, "failed": len(each.failed), "limit": each.limit}
            for each in side.behaviour
        ],
    }


def as_json(compared: Compared) -> dict[str, Any]:
    """The comparison as one JSON object (docs/evaluation.md), without the text of any post."""
    pair = compared.pair
    return {
        "format": COMPARISON_FORMAT,
        "passed": compared.passed,
        "reasons": compared.reasons,
        "champion": _side_json(pair.champion),
        "challenger": _side_json(pair.challenger),
        "file": compared.file,
        "part": compared.part,
        "posts": len(pair.challenger.predictions),
        "posts_fingerprint": compared.posts_fingerprint,
        "created_at": compared.created_at.isoformat(timespec="seconds"),
        "gate": compared.gate.model_dump(mode="json"),
        "checks": [asdict(check) for check in compared.checks],
        "latency": asdict(pair.latency),
        "slices": [asdict(each) for each in compared.slices],
        "flips": {kind: sum(flip.kind == kind for flip in compared.flips) for kind in KINDS},
    }


def _render(compared: Compared, content: dict[str, Any]) -> str:
    pair = compared.pair
    figures = {
        "differences": difference_plot(compared.checks),
        "reliability": reliability_plot(pair),
        "risk": risk_plot(pair),
    }
    return (
        page_environment(Path(__file__).parent / "templates")
        .get_template("comparison.html.j2")
        .render(
            content=content,
            flips=compared.flips[:MAX_FLIPS],
            all_flips=len(compared.flips),
            behaviour=list(zip(pair.champion.behaviour, pair.challenger.behaviour, strict=True)),
            figures=figures,
            plotly_js=get_plotlyjs(),
        )
    )


def _write_flips(path: Path, flips: Sequence[Flip]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Flip)])
        writer.writerows(map(guarded, astuple(flip)) for flip in flips)


def write_comparison(directory: Path, compared: Compared) -> ComparisonFiles:
    """The files of the comparison, written to `directory`, which is made if need be.

    Raises:
        OSError: when the directory cannot be written.
    """
    content = as_json(compared)
    files = ComparisonFiles(directory / HTML_FILE, directory / JSON_FILE, directory / FLIPS_FILE)
    directory.mkdir(parents=True, exist_ok=True)
    files.html.write_text(_render(compared, content), encoding="utf-8")
    _write_flips(files.flips, compared.flips)
    files.json.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return files
