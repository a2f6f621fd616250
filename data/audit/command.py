"""`python -m data audit` and `apply-review`: a list of labels to look at again, and what people said of them."""

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from data.annotation.agreement import Agreement, measure
from data.annotation.labellings import LABEL_KINDS, read_labellings
from data.audit.clusters import Cluster, find_clusters
from data.audit.page import Audited, write_audit_page
from data.audit.review import apply_review, write_clusters, write_review
from data.audit.suspects import KINDS, Kind, Suspect, Verdicts, audit
from data.console import DONE, AddVerb, UsageError, add_taxonomy, answer, refuse_existing, say, taxonomy_of
from data.duplicates import near_duplicates
from data.grouping import group
from data.post import LabelledPost
from data.progress import progress_bar
from data.rejects import SourceError, write_rejects
from data.rendering import render
from data.sources import read_labelled, write_labelled
from data.suggestions import read_suggestions


def _posts(arguments: Namespace) -> tuple[LabelledPost, ...]:
    reading = read_labelled(
        arguments.file, taxonomy=taxonomy_of(arguments), keep_going=arguments.keep_going, watch=progress_bar
    )
    if reading.rejects:
        write_rejects(arguments.rejects, reading.rejects)
        say(f"{len(reading.rejects)} rows are no posts; they are put aside in {arguments.rejects}.")
    if not reading.posts:
        raise SourceError(
            f"{arguments.file} was not audited: none of its rows is a post. Wanted labelled posts. See what "
            f"`python -m data check` says of them{f', and {arguments.rejects}' if reading.rejects else ''}."
        )
    (twice, n), *_ = Counter(post.id for post in reading.posts).most_common(1)
    if n > 1:
        raise SourceError(
            f"{arguments.file} was not audited: the id {twice} stands more than once, and a verdict goes by it. "
            "Wanted an id for each post. Mend what `python -m data check` names first."
        )
    return reading.posts


def _verdicts(
    arguments: Namespace, posts: Sequence[LabelledPost]
) -> tuple[dict[Kind, Verdicts], tuple[Cluster, ...], int]:
    rendered = [render(post) for post in progress_bar(posts, "rendering")]
    pairs = near_duplicates([each.text for each in rendered], watch=progress_bar)
    # Common phrases are joined too: a copy in the training part would vouch for a wrong label.
    grouping = group(posts, alike=pairs, max_alike_posts=None)
    said = read_suggestions(arguments.probabilities) if arguments.probabilities else None
    kinds: Sequence[Kind] = KINDS if arguments.of == "both" else (arguments.of,)
    verdicts = {
        kind: audit(posts, rendered, grouping.numbers, kind, suggestions=said, watch=progress_bar) for kind in kinds
    }
    return verdicts, find_clusters(posts, pairs), len(grouping.groups)


def _say_verdicts(verdicts: Sequence[Verdicts], clusters: Sequence[Cluster]) -> None:
    for each in verdicts:
        say(f"{each.kind}: {each.likely_wrong:,} of {len(each.suspects):,} labels are likely wrong.")
        for label, n in each.not_judged.items():
            say(f"  {label} is not judged: its {n} posts stand in one group, and no other post knows the label.")
    split = sum(not cluster.agrees for cluster in clusters)
    copies = sum(len(cluster.posts) - 1 for cluster in clusters)
    say(f"{len(clusters):,} clusters with {copies:,} copies or near copies; in {split:,} of them the labels differ.")


def _agreements(arguments: Namespace) -> tuple[Agreement, ...]:
    if not arguments.agreement:
        return ()
    read = read_labellings(arguments.agreement, taxonomy_of(arguments), progress_bar)
    labellings = [labelling for labelling, _ in read]
    measured = tuple(measure(labellings, kind) for kind in LABEL_KINDS)
    for each in measured:
        say(each.as_text())
    return measured


def _audit(arguments: Namespace) -> int:
    if arguments.agreement and not arguments.html:
        raise UsageError("--agreement stands on the page alone: got no --html. Give one, or use `data agreement`.")
    for path in filter(None, (arguments.out, arguments.clusters)):
        refuse_existing(path, "it may hold verdicts")
    posts, agreements = _posts(arguments), _agreements(arguments)
    verdicts, clusters, groups = _verdicts(arguments, posts)
    suspects: list[Suspect] = [suspect for each in verdicts.values() for suspect in each.worst(arguments.most)]
    suspects.sort(key=lambda suspect: (suspect.score, suspect.place, suspect.kind))
    write_review(arguments.out, posts, suspects, clusters)
    if arguments.clusters:
        write_clusters(arguments.clusters, clusters)
    _say_verdicts(list(verdicts.values()), clusters)
    if arguments.html:
        found = Audited(posts, verdicts, suspects, clusters, agreements)
        write_audit_page(arguments.html, found, file=arguments.file, review=arguments.out)
        say(f"The page: {arguments.html}")
    say(
        f"The review list, {len(suspects):,} rows: {arguments.out}. Fill in its column verdict (keep, suggested, "
        "the right label, or remove), then:\n"
        f"  python -m data apply-review {arguments.file} --review {arguments.out} --out NEW"
    )
    answer(
        {
            "out": str(arguments.out),
            "posts": len(posts),
            "groups": groups,
            "listed": len(suspects),
            "likely_wrong": {kind: each.likely_wrong for kind, each in verdicts.items()},
            "not_judged": {kind: dict(each.not_judged) for kind, each in verdicts.items()},
            "clusters": len(clusters),
            "clusters_that_disagree": sum(not cluster.agrees for cluster in clusters),
        }
    )
    return DONE


def _apply(arguments: Namespace) -> int:
    refuse_existing(arguments.out, "an earlier file is never replaced")
    taxonomy = taxonomy_of(arguments)
    posts = read_labelled(arguments.file, taxonomy=taxonomy, watch=progress_bar).posts
    corrected = apply_review(posts, arguments.review, taxonomy=taxonomy)
    write_labelled(arguments.out, corrected.posts)
    counts = {"changed": corrected.changed, "removed": corrected.removed, "kept": corrected.kept}
    say(", ".join(f"{n:,} {what}" for what, n in counts.items()) + f"; {len(corrected.posts):,} posts: {arguments.out}")
    answer({"out": str(arguments.out), "posts": len(corrected.posts), **counts})
    return DONE


def add(verb: AddVerb) -> None:
    """Nothing; the verbs `audit` and `apply-review` stand on the command line afterwards."""
    auditing = verb(
        "audit",
        _audit,
        "a ranked list of labels that are likely wrong, for people to review",
        "audit my-posts.jsonl --out review.csv --clusters clusters.csv --html audit.html",
    )
    option = auditing.add_argument
    option("file", metavar="FILE", help="labelled posts")
    option("--out", type=Path, required=True, metavar="OUT", help="the review list to write, as CSV")
    option("--clusters", type=Path, metavar="OUT", help="list near-duplicate clusters too, as CSV")
    option("--html", type=Path, metavar="OUT", help="write a page to read it on")
    option("--agreement", nargs="+", metavar="IN", help="put on the page how far people agree (see `agreement`)")
    option("--of", choices=("both", *KINDS), default="both", help="which labels (default: %(default)s)")
    option("--most", type=int, metavar="N", help="rows for each kind of label (default: as many as are likely wrong)")
    option("--probabilities", type=Path, metavar="IN", help="of a model that was not trained on these posts")
    applying = verb(
        "apply-review",
        _apply,
        "the posts with the verdicts of a review put into effect, as a new file",
        "apply-review my-posts.jsonl --review review.csv clusters.csv --out corrected.jsonl",
        keeps_going=False,
    )
    applying.add_argument("file", metavar="FILE", help="the posts that were audited")
    applying.add_argument("--review", type=Path, nargs="+", required=True, metavar="IN", help="the lists, filled in")
    applying.add_argument("--out", type=Path, required=True, metavar="OUT", help="the posts to write, as JSON Lines")
    for added in (auditing, applying):
        add_taxonomy(added)
