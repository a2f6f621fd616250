"""The review list: a CSV that opens in a spreadsheet, goes to people, and comes back with their verdicts.

Owns its columns, what a verdict may say, and how verdicts change posts. Texts are redacted: such files get passed on.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from data.audit.clusters import Cluster
from data.audit.suspects import KINDS, Kind, Suspect, label_of
from data.importing.posts import cell_text
from data.importing.tables import read_table
from data.output import whole_file
from data.post import LabelledPost
from data.redaction import redact
from data.rejects import SourceError, shown
from data.spreadsheet import guarded, guarded_id, unguarded_id
from data.taxonomy import BUILT_IN, ROUTES, Taxonomy

COLUMNS = (
    "rank", "id", "label", "text", "given", "suggested", "score", "likely_wrong", "cluster", "verdict", "note",
)  # fmt: skip
CLUSTER_COLUMNS = (
    "cluster",
    "id",
    "label",
    "text",
    "given",
    "route",
    "intent",
    "similarity",
    "agrees",
    "verdict",
    "note",
)
KEEP, SUGGESTED, REMOVE = "keep", "suggested", "remove"
"""What a verdict may say beside the name of the right label; an empty one changes nothing."""
_POST = "post"
"""Stands for the kind of label in the list of clusters: its only verdicts are `keep` and `remove`."""
_BYTE_ORDER_MARK = "utf-8-sig"
"""By it Excel knows that the file is UTF-8."""
_NEEDED = ("id", "label", "given", "verdict")


class ReviewError(SourceError):
    """A review list whose verdicts cannot be put into effect; every problem with its line."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """The posts after a review, and what was done."""

    posts: tuple[LabelledPost, ...]
    changed: int
    removed: int
    kept: int
    """Verdicts that said the label is right."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    line: int
    file: str
    post_id: str
    kind: str
    said: str
    """`keep`, `remove` or the right label."""


def write_review(
    path: Path, posts: Sequence[LabelledPost], suspects: Sequence[Suspect], clusters: Sequence[Cluster]
) -> None:
    """Nothing; the file at `path` holds the review list afterwards, in the order of `suspects`."""
    cluster_of = {post.id: cluster.number for cluster in clusters for post in cluster.posts}
    with whole_file(path, encoding=_BYTE_ORDER_MARK) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for rank, each in enumerate(suspects, start=1):
            post = posts[each.place]
            cells = [rank, guarded_id(post.id), each.kind, redact(post.text), each.given, each.suggested]
            flag = "yes" if each.likely_wrong else "no"
            writer.writerow(map(guarded, [*cells, f"{each.score:.4f}", flag, cluster_of.get(post.id, ""), "", ""]))


def write_clusters(path: Path, clusters: Sequence[Cluster]) -> None:
    """Nothing; the file at `path` lists the posts of every cluster afterwards, with a column for a verdict."""
    with whole_file(path, encoding=_BYTE_ORDER_MARK) as file:
        writer = csv.writer(file)
        writer.writerow(CLUSTER_COLUMNS)
        for cluster in clusters:
            agrees = "yes" if cluster.agrees else "no"
            for post, alike in zip(cluster.posts, cluster.similarity, strict=True):
                cells = [cluster.number, guarded_id(post.id), _POST, redact(post.text), ""]
                writer.writerow(map(guarded, [*cells, post.route, post.intent, f"{alike:.2f}", agrees, "", ""]))


class _Reader:
    """Reads review lists against the posts that they are about, and gathers what is wrong with them."""

    def __init__(self, posts: Mapping[str, LabelledPost], taxonomy: Taxonomy) -> None:
        self._posts = posts
        self._labels: dict[str, tuple[str, ...]] = {"route": tuple(ROUTES), "intent": taxonomy.names, _POST: ()}
        self.problems: list[str] = []

    def read(self, path: Path) -> Iterator[_Verdict]:
        """The verdicts of one list."""
        table = read_table(path, may_be_empty=True)
        missing = [name for name in _NEEDED if name not in table.columns]
        if missing:
            raise ReviewError(
                f"{path} is no review list: it lacks the column {missing[0]!r}. It has "
                f"{', '.join(map(repr, table.columns))}. Wanted the columns that `python -m data audit` wrote. "
                "Put them back."
            )
        for row in table.rows:
            if row.problem:
                self.problems.append(f"{path}, line {row.line}, {row.problem}")
                continue
            cells = {name: cell_text(row.values.get(name) or "").strip() for name in (*_NEEDED, "suggested")}
            if cells["verdict"] and (verdict := self._verdict(str(path), row.line, cells)):
                yield verdict

    def _verdict(self, file: str, line: int, cells: Mapping[str, str]) -> _Verdict | None:
        """The verdict of one row, or `None` where something is wrong with it, which is then noted."""
        post_id, kind, verdict = unguarded_id(cells["id"]), cells["label"], cells["verdict"]
        post = self._posts.get(post_id)
        said = cells["suggested"] if verdict.casefold() == SUGGESTED and kind != _POST else verdict
        said = said.casefold() if said.casefold() in (KEEP, REMOVE) else said
        wrong = None
        if post is None:
            wrong = f"id: got {shown(post_id)}; wanted the id of a post of the file; restore the id as it was written"
        elif kind not in self._labels:
            wrong = f"label: got {shown(kind)}; wanted route, intent or post; restore it"
        elif kind != _POST and label_of(post, _kind(kind)) != cells["given"]:
            now = label_of(post, _kind(kind))
            wrong = f"given: got {shown(cells['given'])}; wanted {now!r}, which the file says now; audit the file again"
        elif said not in (KEEP, REMOVE, *self._labels[kind]):
            wrong = self._unknown(kind, said)
        if wrong:
            self.problems.append(f"{file}, line {line}, {wrong}")
            return None
        return _Verdict(line, file, post_id, kind, said)

    def _unknown(self, kind: str, said: str) -> str:
        labels = self._labels[kind]
        near = get_close_matches(said, labels, n=1)
        wanted = f"{KEEP}, {REMOVE}" + (f", {SUGGESTED} or the right {kind}" if labels else "")
        return f"verdict: got {shown(said)}; wanted {wanted}; " + (
            f"write {near[0]!r}" if near else "write one of these"
        )

    def check_conflicts(self, verdicts: Sequence[_Verdict]) -> None:
        """Nothing; notes verdicts on the same label of the same post that say different things."""
        first: dict[tuple[str, str], _Verdict] = {}
        for each in verdicts:
            earlier = first.setdefault((each.post_id, each.kind), each)
            if earlier.said != each.said:
                self.problems.append(
                    f"{each.file}, line {each.line}, verdict: got {shown(each.said)}, but {earlier.file}, line "
                    f"{earlier.line} says {shown(earlier.said)} of the {each.kind} of {each.post_id}; "
                    "wanted one verdict; agree on one and empty the other"
                )


def _kind(name: str) -> Kind:
    return "route" if name == "route" else "intent"


def apply_review(posts: Sequence[LabelledPost], reviews: Sequence[Path], *, taxonomy: Taxonomy = BUILT_IN) -> Corrected:
    """The posts with the verdicts of one or more review lists put into effect, in their order.

    Raises:
        ReviewError: when a verdict is about an unknown post, says no label, or contradicts another, listing all.
        SourceError: when a list cannot be read.
    """
    reader = _Reader({post.id: post for post in posts}, taxonomy)
    verdicts = [verdict for path in reviews for verdict in reader.read(path)]
    reader.check_conflicts(verdicts)
    if reader.problems:
        lines = "\n".join(reader.problems)
        raise ReviewError(f"No verdict was put into effect: {len(reader.problems)} cannot be:\n{lines}")
    removed = {each.post_id for each in verdicts if each.said == REMOVE}
    labels = {(each.post_id, each.kind): each.said for each in verdicts if each.said not in (KEEP, REMOVE)}
    corrected = [_corrected(post, labels, removed) for post in posts if post.id not in removed]
    return Corrected(
        posts=tuple(corrected),
        changed=sum(old.route != new.route or old.intent != new.intent for old, new in _pairs(posts, corrected)),
        removed=len(removed),
        kept=sum(each.said == KEEP for each in verdicts),
    )


def _pairs(
    posts: Sequence[LabelledPost], corrected: Sequence[LabelledPost]
) -> Iterator[tuple[LabelledPost, LabelledPost]]:
    old = {post.id: post for post in posts}
    return ((old[post.id], post) for post in corrected)


def _corrected(post: LabelledPost, labels: Mapping[tuple[str, str], str], removed: set[str]) -> LabelledPost:
    new: dict[str, object] = {kind: labels[post.id, kind] for kind in KINDS if (post.id, kind) in labels}
    if post.contrast_of in removed:
        new["contrast_of"] = None  # its partner is gone
    return post.model_copy(update=new) if new else post
