"""Decisions of the journal that people have read, as labelled posts: the other thing a report can be of.

What the model read is kept, so any bundle can be run on it again. Where several people read a post, the label that most
of them gave is the truth; a post on which they are even is left out.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from data.annotation.agreement import Labelling, measure
from data.post import MAX_LABELLED_TEXT_CHARACTERS, Author, LabelledPost
from data.rejects import SourceError
from data.rendering import Rendered
from data.steps import Steps
from data.taxonomy import Taxonomy
from models.policy import Facts
from serving.journal.database import Database
from serving.journal.filter import Filter
from serving.journal.queries import Reading, ReviewedPost, reviewed_ids, reviewed_posts
from serving.workbench.confusion.ceiling import Ceiling

SPANS = {"journal: last 7 days": 7, "journal: last 30 days": 30, "journal: last year": 366}
"""What can be chosen, and how many days back it reaches."""
_PIECE_POSTS = 250
"""Some 20 ms of one core."""
_UNKNOWN_LANGUAGE = "zz"
"""No language has this code; the guard could not tell."""


@dataclass(frozen=True, slots=True)
class ReadPosts:
    """Reviewed posts with their labels, what the model read of each with its facts, and how far readers agree."""

    posts: tuple[LabelledPost, ...]
    read: tuple[tuple[Rendered, Facts], ...]
    ceiling: Ceiling | None


def _majority(readings: Sequence[Reading]) -> tuple[str, str] | None:
    """The labels that most readers gave, `None` where two are given equally often."""
    ranked = Counter((each.route, each.intent) for each in readings).most_common(2)
    tied = len(ranked) > 1 and ranked[0][1] == ranked[1][1]
    return None if tied else ranked[0][0]


def _labelled(found: ReviewedPost, labels: tuple[str, str], taxonomy: Taxonomy) -> LabelledPost:
    post, facts = found.post, found.facts
    values = {
        "id": post.prediction_id,
        "text": post.text[:MAX_LABELLED_TEXT_CHARACTERS] or " ",
        "platform": post.platform,
        "lang": post.lang or _UNKNOWN_LANGUAGE,
        "author": Author(followers=facts.followers) if facts.followers is not None else None,
        "posted_at": post.received_at,
        "route": labels[0],
        "intent": labels[1],
    }
    return LabelledPost.model_validate(values, context=taxonomy)


def _ceiling(found: Sequence[ReviewedPost]) -> Ceiling | None:
    said = [
        Labelling(each.post.prediction_id, reading.reader, {"route": reading.route})
        for each in found
        for reading in each.readings
    ]
    measured = measure(said, "route")
    if measured.alpha is None or measured.low is None or measured.high is None:
        return None
    return Ceiling(measured.alpha, measured.low, measured.high, measured.posts, measured.annotators)


def _reviewed_in_steps(database: Database, wanted: Filter) -> Steps[list[ReviewedPost]]:
    """The reviewed posts that are meant, some a step."""
    ids, found = database.read(reviewed_ids, wanted), list[ReviewedPost]()
    for start in range(0, len(ids), _PIECE_POSTS):
        yield
        found += database.read(reviewed_posts, ids[start : start + _PIECE_POSTS])
    return found


def read_span_in_steps(database: Database, name: str, taxonomy: Taxonomy) -> Steps[ReadPosts]:
    """The reviewed posts of a span of time, by its name, as far as the taxonomy knows their intents.

    Raises:
        SourceError: when nothing in it has been read.
        StoreDownError: when the journal cannot be asked.
    """
    since = datetime.now(UTC) - timedelta(days=SPANS[name])
    found = yield from _reviewed_in_steps(database, Filter(since=since))
    yield
    pairs = [(each, _majority(each.readings)) for each in found]
    kept = [(each, labels) for each, labels in pairs if labels is not None and labels[1] in taxonomy.intents]
    if not kept:
        raise SourceError(
            f"There is no report on the {name}: {len(found)} of its decisions have been read, and none has labels that "
            "most of its readers gave and that this bundle knows. Wanted: at least one. Read some in the review queue, "
            "or choose a longer span."
        )
    ceiling = _ceiling(found)  # of all that several read: those on which they are even are where people differ
    yield
    return ReadPosts(
        posts=tuple(_labelled(each, labels, taxonomy) for each, labels in kept),
        read=tuple((Rendered(text=each.post.text, context=each.post.context), each.facts) for each, _ in kept),
        ceiling=ceiling,
    )
