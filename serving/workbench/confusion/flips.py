"""Two bundles on the same posts: which posts the second one mends, and which it breaks."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluation.comparison.paired import McNemar, mcnemar
from evaluation.predictions import BoolArray, IntArray
from evaluation.report.cases import Case
from serving.workbench.confusion.report import rows_of
from serving.workbench.confusion.scorings import Scored
from serving.workbench.confusion.where import Where

Direction = Literal["broken", "mended"]


@dataclass(frozen=True, slots=True)
class Flip:
    """One post that both bundles read, as each sees it."""

    before: Case
    after: Case


@dataclass(frozen=True, slots=True)
class Against:
    """How the second bundle does beside the first on the chosen posts. `newly_closed` are closings the first left."""

    posts: int
    test: McNemar
    accuracy_before: float
    accuracy_after: float
    leaks_before: int
    leaks_after: int
    actions_changed: int


def _right(scored: Scored, rows: IntArray) -> BoolArray:
    said = scored.predictions.predicted_routes[rows]
    return np.asarray(said == scored.predictions.routes[rows])


def comparable(before: Scored, after: Scored) -> bool:
    """True where both were given the same posts with the same labels."""
    return before.fingerprint == after.fingerprint


def compare(before: Scored, after: Scored, where: Where) -> Against:
    """The second bundle beside the first on the posts that `where` chooses by the first."""
    rows = rows_of(before, where)
    was, now = _right(before, rows), _right(after, rows)
    pairs = [(before.cases[row], after.cases[row]) for row in rows]
    return Against(
        posts=len(rows),
        test=mcnemar(was, now),
        accuracy_before=float(was.mean()) if len(rows) else 0.0,
        accuracy_after=float(now.mean()) if len(rows) else 0.0,
        leaks_before=sum(one.kind == "leak" for one, _ in pairs),
        leaks_after=sum(other.kind == "leak" for _, other in pairs),
        actions_changed=sum(one.action != other.action for one, other in pairs),
    )


def read_flips(before: Scored, after: Scored, where: Where, direction: Direction) -> list[Flip]:
    """The posts whose route was right and is wrong (`broken`), or was wrong and is right; the surest first."""
    rows = rows_of(before, where)
    was, now = _right(before, rows), _right(after, rows)
    flipped = rows[was & ~now] if direction == "broken" else rows[~was & now]
    found = [Flip(before.cases[row], after.cases[row]) for row in flipped]
    return sorted(found, key=lambda flip: (-max(flip.after.route_probabilities), flip.after.id))
