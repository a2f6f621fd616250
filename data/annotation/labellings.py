"""Who gave which labels to which post, read from files of labelled posts."""

from collections.abc import Iterator, Sequence

from data.annotation.agreement import Labelling
from data.console import UsageError
from data.importing.mapping import ANNOTATOR
from data.post import LabelledPost
from data.progress import Watch, unwatched
from data.sources import read_beside, read_labelled
from data.taxonomy import Taxonomy

LABEL_KINDS = ("route", "intent")


def read_labellings(
    files: Sequence[str], taxonomy: Taxonomy, watch: Watch = unwatched
) -> Iterator[tuple[Labelling, LabelledPost]]:
    """What each person said of each post, and the post as labelled so.

    People are told apart by the field `annotator` of a file, or else by the file, where there are several.

    Raises:
        UsageError: when neither says who labelled a post.
        SourceError: when a file cannot be read.
    """
    for path in files:
        posts = read_labelled(path, taxonomy=taxonomy, watch=watch).posts
        for post, said_by in zip(posts, read_beside(path, ANNOTATOR), strict=True):
            annotator = path if len(files) > 1 and said_by is None else said_by
            if annotator is None:
                raise UsageError(
                    f"{path} does not say who labelled the post {post.id}: it has no field {ANNOTATOR!r}. Wanted that "
                    f"field in every line (import it with columns.{ANNOTATOR}), or one file for each person."
                )
            yield Labelling(post.id, str(annotator), {kind: getattr(post, kind) for kind in LABEL_KINDS}), post
