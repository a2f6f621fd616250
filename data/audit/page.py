"""What an audit found as one HTML page, for the people who will fill in the list. Owns what stands on it.

The page says where to look and why; verdicts go into the list, which it names. Texts are redacted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.annotation.agreement import Agreement
from data.audit.clusters import Cluster
from data.audit.suspects import Kind, Suspect, Verdicts
from data.html import excerpt, fill_page
from data.output import whole_file
from data.post import LabelledPost

MAX_SUSPECTS_SHOWN = 200
"""An hour of reading, and some 150 kilobytes; the list has all."""
MAX_CLUSTERS_SHOWN = 50
"""Of those that disagree, and of those that agree."""
_MAX_POSTS_SHOWN = 8
_MAX_PAIRS_SHOWN = 10
_MAX_LABELS_SHOWN = 24


@dataclass(frozen=True, slots=True)
class Audited:
    """All that an audit found."""

    posts: Sequence[LabelledPost]
    verdicts: Mapping[Kind, Verdicts]
    suspects: Sequence[Suspect]
    """Those on the list, in its order."""
    clusters: Sequence[Cluster]
    agreements: Sequence[Agreement] = ()
    """Of each kind of label, where several people labelled."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A label on the list as it is shown."""

    rank: int
    id: str
    kind: Kind
    given: str
    suggested: str
    fit: float
    likely_wrong: bool
    cluster: int | None
    text: str


@dataclass(frozen=True, slots=True)
class _Shown:
    """A cluster with its first posts."""

    number: int
    posts: int
    texts: tuple[tuple[str, str, str], ...]
    """Id, labels, redacted text."""


Bars = list[tuple[str, int | str, float]]
"""What a bar is of, its number, its length from 0 to 1."""


def _rows(audited: Audited) -> list[_Row]:
    cluster_of = {post.id: cluster.number for cluster in audited.clusters for post in cluster.posts}
    rows = []
    for rank, each in enumerate(audited.suspects[:MAX_SUSPECTS_SHOWN], start=1):
        post = audited.posts[each.place]
        said = each.kind, each.given, each.suggested, each.score, each.likely_wrong
        rows.append(_Row(rank, post.id, *said, cluster_of.get(post.id), excerpt(post.text)))
    return rows


def confusions(suspects: Sequence[Suspect], kind: Kind) -> Bars:
    """The pairs of labels between which most labels of that kind are likely wrong, whichever way; the most first."""
    pairs = Counter(
        tuple(sorted((each.given, each.suggested))) for each in suspects if each.kind == kind and each.likely_wrong
    )
    shown = pairs.most_common(_MAX_PAIRS_SHOWN)
    return [(" / ".join(pair), n, n / shown[0][1]) for pair, n in shown]


def _agreed(agreement: Agreement) -> Bars:
    weakest = sorted(agreement.labels, key=agreement.agreed)[:_MAX_LABELS_SHOWN]
    return [(label, f"{agreement.agreed(label):.0%}", agreement.agreed(label)) for label in weakest]


def _taken_for_each_other(agreement: Agreement) -> Bars:
    shown = agreement.confusions[:_MAX_PAIRS_SHOWN]
    return [(f"{one} / {other}", f"{n:g}", n / shown[0][2]) for one, other, n in shown]


def _shown(cluster: Cluster) -> _Shown:
    texts = [(post.id, f"{post.route} · {post.intent}", excerpt(post.text)) for post in cluster.posts]
    return _Shown(cluster.number, len(texts), tuple(texts[:_MAX_POSTS_SHOWN]))


def write_audit_page(path: Path, audited: Audited, *, file: str, review: Path) -> None:
    """Nothing; the page of an audit of `file`, whose list is `review`, stands at `path` afterwards.

    Raises:
        MissingGroupError: when jinja2 is not installed.
    """
    clusters = [
        (name, len(of_kind), [_shown(each) for each in of_kind[:MAX_CLUSTERS_SHOWN]])
        for name, of_kind in (
            ("differ", [cluster for cluster in audited.clusters if not cluster.agrees]),
            ("agree", [cluster for cluster in audited.clusters if cluster.agrees]),
        )
    ]
    html = fill_page(
        "audit.html.j2",
        file=file,
        review=str(review),
        posts=len(audited.posts),
        listed=len(audited.suspects),
        rows=_rows(audited),
        verdicts=list(audited.verdicts.values()),
        confusions={kind: confusions(audited.suspects, kind) for kind in audited.verdicts},
        clusters=clusters,
        linked={each.number for _, _, shown in clusters for each in shown},
        copies=sum(len(cluster.posts) - 1 for cluster in audited.clusters),
        agreements=[(each, _agreed(each), _taken_for_each_other(each)) for each in audited.agreements],
    )
    with whole_file(path) as opened:
        opened.write(html)
