"""What the threshold desk is opened with: scores of the posts that choose and prove, and a sample of the journal.

Opened once for a bundle and its policy, and kept: a move of a slider then decides no post anew.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from data.splits import PartName
from evaluation.predictions import join
from evaluation.workbench.desk import Desk as Scale
from evaluation.workbench.desk import JournalRow, JournalSample, open_desk, read_journal_in_steps
from evaluation.workbench.steps import Steps
from models.policy import Policy
from serving.journal.database import Database
from serving.journal.filter import Filter
from serving.journal.texts import ScoredPost, draw_posts, scored_posts
from serving.workbench.confusion.scorings import Key, Scored
from serving.workbench.confusion.sources import IN_SERVICE, Shelf

CHOOSING: tuple[PartName, PartName] = ("development", "temperature")
PROVING: PartName = "calibration"
"""It proves the thresholds whose path the others chose, as in a run of the training (docs/evaluation.md)."""
Parts = tuple[Scored, Scored, Scored]
"""The scores of the parts that choose and, last, of the one that proves."""
OLD_AFTER_S = 60.0
"""A minute of 5,000 decisions of a day is no visible share of them."""
MOST_ROWS = 5_000
"""Of the journal: a share of 10 % is known to within a point, and reading them takes under a second."""
_PIECE_ROWS = 500
"""Some 40 ms of one core."""


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """A desk with what it was opened with. `days` is how far back the journal's rows reach."""

    scale: Scale
    calibration: Scored
    sample: JournalSample
    rows: tuple[ScoredPost, ...]
    days: int
    in_force: Policy
    read_at_s: float
    """By the monotonic clock."""


def keys_of(shelf: Shelf) -> tuple[Key, ...]:
    """The scorings that a desk needs, empty where the labelled posts have no splits."""
    offered = {each.part: each.name for each in shelf.sets() if each.part}
    return tuple((IN_SERVICE, offered[part]) for part in (*CHOOSING, PROVING) if part in offered)


def rows_in_steps(database: Database, model_version: str, days: int) -> Steps[tuple[ScoredPost, ...]]:
    """A random sample of what that model decided in so many days, some decisions a step."""
    wanted = Filter(since=datetime.now(UTC) - timedelta(days=days), models=(model_version,))
    drawn, rows = database.read(draw_posts, wanted, most=MOST_ROWS), list[ScoredPost]()
    for start in range(0, len(drawn), _PIECE_ROWS):
        yield
        rows += database.read(scored_posts, drawn[start : start + _PIECE_ROWS])
    return tuple(rows)


class Openings:
    """The desk that was opened last: one bundle is in service at a time. For the pages' own thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._of: tuple[Parts, Policy] | None = None
        self._kept: dict[int, Opening] = {}

    def open_in_steps(self, parts: Parts, in_force: Policy, days: int, *, anew: bool) -> Steps[Opening]:
        """The desk for these scores; of each span the journal is read once for a policy in force, and `anew`.

        Raises:
            ValueError: when the parts share a post, or one is empty.
            StoreDownError: when the journal cannot be asked.
        """
        if self._of != (parts, in_force):
            self._of, self._kept = (parts, in_force), {}
        if days in self._kept and not anew:
            return self._kept[days]
        made = yield from self._read_in_steps(parts, in_force, days)
        if self._of == (parts, in_force):  # between two steps another policy may have come into force
            self._kept[days] = made
        return made

    def is_old(self, days: int) -> bool:
        """True where the journal's last days were read a while ago."""
        return days in self._kept and monotonic() - self._kept[days].read_at_s > OLD_AFTER_S

    def _read_in_steps(self, parts: Parts, in_force: Policy, days: int) -> Steps[Opening]:
        one, other, calibration = parts
        rows = yield from rows_in_steps(self._database, calibration.model_version, days)
        yield
        kept = self._kept.values() if self._of == (parts, in_force) else ()
        known_scale = next((each.scale for each in kept), None)
        scale = known_scale or open_desk(join(one.predictions, other.predictions), calibration.predictions, in_force)
        known = set(calibration.predictions.taxonomy.names)
        fit = tuple(row for row in rows if set(row.intents) == known)
        yield
        judged = [JournalRow(row.routes, row.intents, row.facts) for row in fit]
        sample = yield from read_journal_in_steps(judged, scale)
        return Opening(scale, calibration, sample, fit, days, in_force, monotonic())
