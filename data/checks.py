"""What is wrong, or odd, with a set of labelled posts: findings with what was found, what was wanted, what to do.

To the checks a post is what the model reads: the rendered text and context. The same text with other facts (author,
reach, the message answered) may rightly have another route, so only posts that render alike must be labelled alike.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from data.dependencies import needs_group
from data.duplicates import Pair, near_duplicates
from data.grouping import group
from data.post import LabelledPost
from data.progress import Watch, unwatched
from data.rejects import Reject
from data.rendering import Rendered, render
from data.splits import SplitsFile
from data.taxonomy import BUILT_IN, ROUTES, Taxonomy

Severity = Literal["error", "warning", "note"]
Code = Literal[
    "schema",
    "empty_text",
    "too_long",
    "duplicate_id",
    "two_routes",
    "contrast_missing",
    "leakage",
    "not_split",
    "two_intents",
    "exact_duplicate",
    "contrast_without_flip",
    "unreadable_text",
    "exposed_not_sensitive",
    "figures_of_influencer",
    "few_labels",
    "near_duplicate",
    "near_duplicate_two_routes",
]
"""The kinds of findings; docs/data.md explains each."""
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
MIN_POSTS_PER_LABEL = 64
"""Above about 64 labels a class plain fine-tuning is the better way (docs/data.md names the source)."""
INFLUENCER_FOLLOWERS = 50_000
INFLUENCER_REPOSTS = 500
"""The labelling guide's lines, "Influencer: any of these"."""
_SHOWN_PER_CODE = 10
_REPLACEMENT = "\ufffd"
"""What a decoder puts where it could not read a byte."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found; `ids` are the posts it is about."""

    severity: Severity
    code: Code
    message: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All findings over a set of posts, errors first."""

    posts: int
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was found that is an error."""
        return not self.count("error")

    def count(self, severity: Severity) -> int:
        """How many findings have this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values, every finding in full."""
        return asdict(self) | {"passed": self.passed}

    def as_text(self) -> str:
        """The report for people: every error, the first ten of every other kind, and how many more there are."""
        by_kind: dict[tuple[Severity, Code], list[Finding]] = defaultdict(list)
        for finding in self.findings:
            by_kind[finding.severity, finding.code].append(finding)
        lines: list[str] = []
        for (severity, code), found in by_kind.items():
            lines.append(f"{severity}: {code} ({len(found)})")
            shown = len(found) if severity == "error" else _SHOWN_PER_CODE
            lines += [f"  {finding.message}" for finding in found[:shown]]
            if len(found) > shown:
                lines.append(f"  ... and {len(found) - shown} more: --report FILE writes all of them")
        counts = ", ".join(f"{self.count(severity)} {severity}s" for severity in SEVERITIES)
        return "\n".join([*lines, f"{self.posts} posts: {counts}"])


def _named(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return ", ".join(ids[:5]) + more


def _schema(rejects: Iterable[Reject], severity: Severity) -> Iterator[Finding]:
    codes: dict[tuple[str, str], Code] = {
        ("text", "missing"): "empty_text",
        ("text", "string_too_long"): "too_long",
    }
    for reject in rejects:
        for problem in reject.problems:
            code = codes.get((problem.field, problem.code), "schema")
            yield Finding(severity, code, f"{reject.file}, line {reject.line}, {problem}")


def _ids(posts: Sequence[LabelledPost]) -> Iterator[Finding]:
    for post_id, n in Counter(post.id for post in posts).items():
        if n > 1:
            message = (
                f"The id {post_id} stands {n} times. Every post needs its own: splits go by it. Rename the others."
            )
            yield Finding("error", "duplicate_id", message, (post_id,))


def _texts(posts: Sequence[LabelledPost], rendered: Sequence[Rendered]) -> Iterator[Finding]:
    for post, pair in zip(posts, rendered, strict=True):
        if not pair.text:
            yield Finding(
                "error",
                "empty_text",
                f"{post.id} has no text that can be read: only white space or control characters stand there. "
                "Wanted at least one character. Correct the text, or remove the post.",
                (post.id,),
            )


def _unreadable(posts: Sequence[LabelledPost]) -> Iterator[Finding]:
    """Texts that were decoded wrongly on their way: replacement characters, or "Ã¼" where "ü" stood."""
    with needs_group("evaluate", "Checking texts"):
        from ftfy.badness import is_bad
    for post in posts:
        if _REPLACEMENT in post.text or is_bad(post.text):
            what = "replacement characters" if _REPLACEMENT in post.text else "signs of a wrong encoding"
            message = (
                f"{post.id} has a text with {what}. Wanted it as it was written. "
                "Import the file again with the right table.encoding, or correct the text."
            )
            yield Finding("warning", "unreadable_text", message, (post.id,))


def _two_labels(what: str, labels: Sequence[str], alike: str) -> str:
    return (
        f"{alike}, but have more than one {what}: {', '.join(labels)}. "
        f"Wanted one {what}. Read the labelling guide again and correct the labels."
    )


def _read_alike(pair: Rendered) -> tuple[str, str]:
    """Equal for posts that read the same to the model, whose tokens know no capitals."""
    return pair.text.casefold(), pair.context.casefold()


def _same(posts: Sequence[LabelledPost], rendered: Sequence[Rendered]) -> Iterator[Finding]:
    places: dict[tuple[str, str], list[LabelledPost]] = defaultdict(list)
    for post, pair in zip(posts, rendered, strict=True):
        places[_read_alike(pair)].append(post)
    for same in (same for same in places.values() if len(same) > 1):
        ids = tuple(post.id for post in same)
        alike = f"{_named(ids)} read the same to the model (text and facts)"
        routes, intents = sorted({post.route for post in same}), sorted({post.intent for post in same})
        if len(routes) > 1:
            yield Finding("error", "two_routes", _two_labels("route", routes, alike), ids)
        if len(intents) > 1:
            yield Finding("warning", "two_intents", _two_labels("intent", intents, alike), ids)
        if len(routes) == len(intents) == 1:
            message = f"{alike} and have the same labels. Wanted each post once. Remove the others."
            yield Finding("warning", "exact_duplicate", message, ids)


def _alike(posts: Sequence[LabelledPost], rendered: Sequence[Rendered], pairs: Sequence[Pair]) -> Iterator[Finding]:
    for pair in pairs:
        one, other = posts[pair.first], posts[pair.second]
        same = _read_alike(rendered[pair.first]) == _read_alike(rendered[pair.second])
        if same or one.id == other.contrast_of or other.id == one.contrast_of:
            continue
        agree = one.route == other.route
        labels = f"both {one.route}" if agree else f"{one.route} and {other.route}"
        message = (
            f"{one.id} and {other.id} have texts that are {pair.similarity:.0%} alike ({labels}) and no contrast link. "
            "Wanted posts that differ. Look whether both are needed; a split keeps them together."
        )
        code: Code = "near_duplicate" if agree else "near_duplicate_two_routes"
        yield Finding("note", code, message, (one.id, other.id))


def _rules(posts: Sequence[LabelledPost], rendered: Sequence[Rendered]) -> Iterator[Finding]:
    """The two rules of the guide that need no reading: exposed data, and figures over the influencer's line."""
    for post, pair in zip(posts, rendered, strict=True):
        if pair.exposed and post.route != "sensitive":
            message = (
                f"{post.id} exposes personal data ({', '.join(pair.exposed)}) but is {post.route}. Wanted sensitive by "
                "the labelling guide. Correct the route, or report the false alarm of the redaction."
            )
            yield Finding("warning", "exposed_not_sensitive", message, (post.id,))
        followers, reposts = post.followers or 0, post.reposts or 0
        if post.route in ("simple", "complex") and (followers >= INFLUENCER_FOLLOWERS or reposts >= INFLUENCER_REPOSTS):
            message = (
                f"{post.id} is {post.route} with {followers} followers and {reposts} reposts. Wanted influencer from "
                f"{INFLUENCER_FOLLOWERS} followers or {INFLUENCER_REPOSTS} reposts, by the labelling guide. Correct it."
            )
            yield Finding("warning", "figures_of_influencer", message, (post.id,))


def _contrasts(posts: Sequence[LabelledPost]) -> Iterator[Finding]:
    by_id = {post.id: post for post in posts}
    for post in posts:
        if post.contrast_of is None:
            continue
        other = by_id.get(post.contrast_of)
        if other is None or other is post:
            message = (
                f"{post.id} names {post.contrast_of} in `contrast_of`, which is no other post here. "
                "Wanted the id of the post that it differs from. Correct or empty the field, or add that file."
            )
            yield Finding("error", "contrast_missing", message, (post.id,))
        elif (post.route, post.intent) == (other.route, other.intent):
            message = (
                f"{post.id} is a contrast of {other.id}, but both are {post.route}, {post.intent}. "
                "Wanted another route or intent. Correct the labels, or empty `contrast_of`."
            )
            yield Finding("warning", "contrast_without_flip", message, (post.id, other.id))


def _counts(posts: Sequence[LabelledPost], taxonomy: Taxonomy, least: int) -> Iterator[Finding]:
    routes: Counter[str] = Counter(post.route for post in posts)
    intents: Counter[str] = Counter(post.intent for post in posts)
    labels = [("route", label, routes[label]) for label in ROUTES] + [
        ("intent", each, intents[each]) for each in taxonomy.names
    ]
    for what, label, n in labels:
        if n < least:
            message = f"The {what} {label} has {n} posts. Wanted at least {least}. Label {least - n} more of them."
            yield Finding("warning", "few_labels", message)


def _leakage(posts: Sequence[LabelledPost], splits: SplitsFile, pairs: Sequence[Pair]) -> Iterator[Finding]:
    part_of = {post_id: name for name, groups in splits.parts.items() for ids in groups for post_id in ids}
    missing = tuple(post.id for post in posts if post.id not in part_of)
    if missing:
        message = f"{_named(missing)} stand in no part of the splits. Wanted every post in one. Make new splits."
        yield Finding("error", "not_split", message, missing)
    for places in group(posts, alike=pairs).groups:
        ids = tuple(posts[place].id for place in places)
        parts = sorted({part_of[post_id] for post_id in ids if post_id in part_of})
        if len(parts) > 1:
            message = (
                f"{_named(ids)} belong together (author, thread, contrast or near duplicate) but stand in "
                f"{', '.join(parts)}. Wanted one part. Make new splits: python -m data split."
            )
            yield Finding("error", "leakage", message, ids)


def check(
    posts: Sequence[LabelledPost],
    *,
    taxonomy: Taxonomy = BUILT_IN,
    rejects: Sequence[Reject] = (),
    rejects_are: Severity = "error",
    splits: SplitsFile | None = None,
    least: int = MIN_POSTS_PER_LABEL,
    watch: Watch = unwatched,
) -> Report:
    """All findings over `posts`, the rows that were rejected while reading, and the splits where they are given.

    `least` is the number of posts below which a route, or an intent of the `taxonomy`, is called thin.
    """
    rendered = [render(post) for post in watch(posts, "rendering")]
    pairs = near_duplicates([each.text for each in rendered], watch=watch)
    findings = [
        *_schema(rejects, rejects_are),
        *_ids(posts),
        *_texts(posts, rendered),
        *_unreadable(posts),
        *_same(posts, rendered),
        *_alike(posts, rendered, pairs),
        *_rules(posts, rendered),
        *_contrasts(posts),
        *_counts(posts, taxonomy, least),
        *(_leakage(posts, splits, pairs) if splits else ()),
    ]
    return Report(len(posts), tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))))
