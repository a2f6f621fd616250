"""The findings of a check as one HTML page: styles inside, no script, nothing loaded. Owns what stands on it.

The style sheet is shared with the confusion report.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.checks import SEVERITIES, Code, Finding, Report, Severity
from data.html import excerpt, fill_page
from data.output import whole_file
from data.post import LabelledPost
from data.taxonomy import BUILT_IN, ROUTES, Taxonomy

MAX_FINDINGS_SHOWN = 100
"""Of one kind: a page of a few hundred kilobytes stays quick; --report has all of them."""
_MAX_TEXTS_SHOWN = 4
MEANINGS: Mapping[Code, str] = {
    "schema": "Rows that are no labelled post: a value is missing or has the wrong type.",
    "empty_text": "Posts without a text that can be read.",
    "too_long": "Texts longer than a labelled post may be.",
    "duplicate_id": "Ids that stand more than once.",
    "two_routes": "Posts that read the same and have two routes: one of them is wrong.",
    "contrast_missing": "Contrasts of a post that is not there.",
    "leakage": "Posts that belong together and stand in two parts of the splits: every figure becomes too good.",
    "not_split": "Posts in no part of the splits.",
    "two_intents": "Posts that read the same and have two intents.",
    "exact_duplicate": "Posts that stand more than once.",
    "contrast_without_flip": "Contrasts with the same labels.",
    "unreadable_text": "Texts that were decoded wrongly on their way.",
    "exposed_not_sensitive": "Posts that show personal data and are not sensitive.",
    "figures_of_influencer": "Authors or posts over the influencer's line with another route.",
    "few_labels": "Labels with too few posts to learn from.",
    "near_duplicate": "Texts that are nearly the same.",
    "near_duplicate_two_routes": "Texts that are nearly the same, with different routes: worth a look.",
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """A finding with the texts of its posts."""

    message: str
    posts: tuple[tuple[str, str, str], ...]
    """Id, labels, redacted text."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """All findings of one kind."""

    code: Code
    severity: Severity
    meaning: str
    findings: int
    shown: tuple[_Shown, ...]


def _shown(finding: Finding, posts: Mapping[str, LabelledPost]) -> _Shown:
    known = [posts[post_id] for post_id in finding.ids[:_MAX_TEXTS_SHOWN] if post_id in posts]
    return _Shown(
        finding.message, tuple((post.id, f"{post.route} · {post.intent}", excerpt(post.text)) for post in known)
    )


def _kinds(report: Report, posts: Sequence[LabelledPost]) -> list[_Kind]:
    by_id = {post.id: post for post in posts}
    found: dict[tuple[Severity, Code], list[Finding]] = defaultdict(list)
    for finding in report.findings:
        found[finding.severity, finding.code].append(finding)
    return [
        _Kind(
            code,
            severity,
            MEANINGS[code],
            len(findings),
            tuple(_shown(each, by_id) for each in findings[:MAX_FINDINGS_SHOWN]),
        )
        for (severity, code), findings in found.items()
    ]


def _bars(counts: Counter[str], labels: Sequence[str]) -> list[tuple[str, int, float]]:
    """Every label with its posts and the length of its bar, 0 to 1; the most frequent first."""
    most = max(counts.values(), default=0)
    return [
        (label, counts[label], counts[label] / most if most else 0.0)
        for label in sorted(labels, key=lambda label: -counts[label])
    ]


def write_page(
    path: Path,
    report: Report,
    posts: Sequence[LabelledPost],
    *,
    files: Sequence[str],
    least: int,
    taxonomy: Taxonomy = BUILT_IN,
) -> None:
    """Nothing; the page of a report on `posts` stands at `path` afterwards.

    Raises:
        MissingGroupError: when jinja2 is not installed.
    """
    counts = {
        "route": _bars(Counter(post.route for post in posts), ROUTES),
        "intent": _bars(Counter(post.intent for post in posts), taxonomy.names),
    }
    html = fill_page(
        "check.html.j2",
        report=report,
        files=files,
        kinds=_kinds(report, posts),
        severities=SEVERITIES,
        counts=counts,
        least=least,
        max_shown=MAX_FINDINGS_SHOWN,
    )
    with whole_file(path) as file:
        file.write(html)
