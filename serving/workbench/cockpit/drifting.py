"""Whether posts have changed: those of the last week against a reference that is chosen here. Owns that choice.

The reference is what the model in service decided in its first two weeks, once these are four weeks ago; until then
the held-out posts that the threshold desk has scored, which have a corpus's mix and not a live feed's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from data.rendering import render
from data.steps import Steps
from data.taxonomy import ROUTES
from evaluation.predictions import Predictions
from evaluation.workbench.drift import LEAST_POSTS, Drift, Sample, look_in_steps
from serving.journal.facets import Clusters
from serving.journal.filter import Filter
from serving.journal.queries import first_at
from serving.journal.texts import ReadText, read_texts
from serving.workbench.confusion.scorings import Scored

NOW_SPAN, FIRST_SPAN = timedelta(days=7), timedelta(days=14)
OLD_ENOUGH = timedelta(days=28)
"""From the second month on, the reference is the journal's own (docs/workbench.md)."""
MOST_POSTS = 1_000
"""Of either sample: a word in a tenth of them is found, in 0.2 s of one core."""
_DRAWN = 1_500
"""Of these, those that say nearly the same count once."""


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What was found, or in `missing` why nothing was looked for."""

    drift: Drift | None = None
    reference: str = ""
    reference_posts: int = 0
    posts: int = 0
    is_corpus: bool = False
    missing: str = ""


def _once(texts: Sequence[ReadText]) -> list[ReadText]:
    """Each cluster once, the first drawn of it."""
    seen: dict[str, ReadText] = {}
    for each in texts:
        seen.setdefault(each.cluster or each.prediction_id, each)
    return list(seen.values())[:MOST_POSTS]


def _sample(texts: Sequence[ReadText]) -> Sample:
    facets = {
        "route": [each.route for each in texts],
        "intent": [each.intent for each in texts],
        "platform": [each.platform for each in texts],
        "language": [each.lang for each in texts],
    }
    return Sample([each.text for each in texts], facets)


def held_out_texts(predictions: Predictions) -> list[ReadText]:
    """Labelled posts with the labels that were predicted, as the journal would have kept them."""
    clusters, names = Clusters(most=len(predictions) + 1), predictions.taxonomy.names
    return [
        ReadText(
            prediction_id=post.id,
            text=text,
            platform=facts.platform,
            lang=facts.lang or "",
            route=ROUTES[int(route)],
            intent=names[int(intent)],
            cluster=clusters.of(text),
        )
        for post, text, facts, route, intent in zip(
            predictions.posts,
            (render(post).text for post in predictions.posts),
            predictions.facts,
            predictions.predicted_routes,
            predictions.predicted_intents,
            strict=True,
        )
    ]


class DriftWatch:
    """Looks for drift of the model in service. For the pages' own thread; each step is one turn of it."""

    def __init__(self) -> None:
        self._now: list[ReadText] = []
        self._then: list[ReadText] = []
        self._reference = ""
        self._is_corpus = False

    def read_now(self, connection: Connection, model_version: str, at: datetime) -> None:
        """Nothing; the newest posts are read."""
        wanted = Filter(since=at - NOW_SPAN, models=(model_version,))
        self._now = _once(read_texts(connection, wanted, most=_DRAWN))

    def read_then(self, connection: Connection, model_version: str, at: datetime, scored: Scored | None) -> None:
        """Nothing; the reference is read, and is empty where there is none."""
        began = first_at(connection, Filter(models=(model_version,)))
        self._is_corpus = began is None or at - began < OLD_ENOUGH
        if began is not None and not self._is_corpus:
            wanted = Filter(since=began, until=began + FIRST_SPAN, models=(model_version,))
            self._then = _once(read_texts(connection, wanted, most=_DRAWN))
            self._reference = f"the first two weeks of this model, from {began:%d %B %Y}"
        else:
            self._then = _once(held_out_texts(scored.predictions)) if scored else []
            self._reference = f"the held-out posts of {scored.posts}" if scored else ""

    def compare_in_steps(self) -> Steps[DriftReport]:
        """What has changed between the two that were read."""
        if not self._reference:
            return DriftReport(
                missing="There is nothing to hold the posts against yet: the model has not decided for four weeks, and "
                "its held-out posts have not been scored. Score them on the threshold desk.",
            )
        if min(len(self._now), len(self._then)) < LEAST_POSTS:
            return DriftReport(
                missing=f"There are too few posts to compare: {len(self._now)} different ones of the last seven days, "
                f"{len(self._then)} of then. Wanted: {LEAST_POSTS} of each. Wait for more.",
            )
        found = yield from look_in_steps(_sample(self._then), _sample(self._now))
        return DriftReport(found, self._reference, len(self._then), len(self._now), self._is_corpus)
