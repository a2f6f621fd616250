"""The figures of a report on chosen posts. Computes none itself: they are `evaluation`'s, as in the file report."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.annotation.agreement import krippendorff_alpha
from data.taxonomy import ROUTES
from evaluation.predictions import BoolArray, IntArray
from evaluation.report.cases import Case, worst_first
from evaluation.summary import Summary, summarise
from serving.workbench.confusion.scorings import Scored, Scoring
from serving.workbench.confusion.where import FACETS, Where

_KEPT_REPORTS = 32
"""Of one scoring: 40 kB each."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a matrix: posts that truly are `truth`, of which the model `said` something; shares from 0 to 1."""

    truth: str
    said: str
    posts: int
    of_row: float
    of_column: float

    @property
    def shade(self) -> int:
        """How dark the cell is, 0 to 20: by the root of its share of the row, so that rare errors can be told apart."""
        return round(20 * math.sqrt(self.of_row))


def rows_of(scored: Scored, where: Where) -> IntArray:
    """The places of the chosen posts, `[m]`."""
    predictions = scored.predictions
    confidence = predictions.route_probabilities.max(axis=1, initial=0.0)
    chosen: BoolArray = (confidence >= where.least) & (confidence <= where.most)
    for name in FACETS:
        if wanted := getattr(where, name):
            chosen &= scored.facets[name] == wanted
    if where.intent:
        names = predictions.taxonomy.names
        chosen &= predictions.intents == (names.index(where.intent) if where.intent in names else -1)
    if where.since:
        chosen &= scored.days >= where.since
    if where.until:
        chosen &= (scored.days <= where.until) & (scored.days != "")
    return np.flatnonzero(chosen)


def figures(scoring: Scoring, scored: Scored, where: Where) -> Summary | None:
    """All figures of the chosen posts (`evaluation.summary`), `None` where there is no such post."""
    known = scored.summary if where == Where() else scoring.reports.get(where)
    if known is not None:
        return known
    rows = rows_of(scored, where)
    if not len(rows):
        return None
    made = summarise(scored.predictions.take(rows), scored.policy, [scored.decisions[row] for row in rows])
    scoring.reports[where] = made
    if len(scoring.reports) > _KEPT_REPORTS:
        scoring.reports.popitem(last=False)
    return made


def matrix(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> list[list[Cell]]:
    """The rows of a confusion matrix: true labels down, what was said across."""
    table = np.asarray(counts)
    rows, columns = np.maximum(table.sum(axis=1), 1), np.maximum(table.sum(axis=0), 1)
    return [
        [
            Cell(truth, said, int(table[i, j]), float(table[i, j] / rows[i]), float(table[i, j] / columns[j]))
            for j, said in enumerate(labels)
        ]
        for i, truth in enumerate(labels)
    ]


def cases_in(scored: Scored, where: Where, head: str = "", truth: str = "", said: str = "") -> list[Case]:
    """The chosen posts, the worst first; with a `head` those of one cell of its matrix."""
    found = [scored.cases[row] for row in rows_of(scored, where)]
    if head:
        true_field, said_field = f"true_{head}", f"predicted_{head}"
        found = [each for each in found if (getattr(each, true_field), getattr(each, said_field)) == (truth, said)]
    return sorted(found, key=worst_first)


def choices(scored: Scored) -> dict[str, list[tuple[str, int]]]:
    """What can be filtered by: the values of each dimension with their posts, and the true intents."""
    found = {name: sorted(Counter(scored.facets[name].tolist()).items()) for name in FACETS}
    names = scored.predictions.taxonomy.names
    intents = Counter(names[place] for place in scored.predictions.intents)
    return found | {"intent": sorted(intents.items())}


def model_alpha(scored: Scored, where: Where) -> float | None:
    """Krippendorff's alpha between the route's label and what the model said: beside that of two people, its ceiling.

    `None` where it is not defined.
    """
    predictions = scored.predictions.take(rows_of(scored, where))
    pairs = zip(predictions.routes.tolist(), predictions.predicted_routes.tolist(), strict=True)
    return krippendorff_alpha([(ROUTES[truth], ROUTES[said]) for truth, said in pairs])
