"""What the threshold desk is opened with: scores of the posts that choose and prove, and a sample of the journal.

Opened once for a bundle and its policy, and kept: a move of a slider then decides no post anew.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from sqlalchemy import Connection

from data.splits import PartName
from evaluation.predictions import join
from evaluation.workbench.desk import Desk as Scale
from evaluation.workbench.desk import JournalRow, JournalSample, open_desk, read_journal
from models.policy import Policy
from serving.journal.database import Database
from serving.journal.filter import Filter
from serving.journal.queries import ScoredPost, scored_posts
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


def rows_since(connection: Connection, model_version: str, days: int) -> tuple[ScoredPost, ...]:
    """A random sample of what that model decided in so many days."""
    wanted = Filter(since=datetime.now(UTC) - timedelta(days=days), models=(model_version,))
    return scored_posts(connection, wanted, most=MOST_ROWS)


class Openings:
    """The desk that was opened last: one bundle is in service at a time. For the pages' own thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._of: tuple[Parts, Policy] | None = None
        self._kept: dict[int, Opening] = {}

    def open(self, parts: Parts, in_force: Policy, days: int, *, anew: bool) -> Opening:
        """The desk for these scores; of each span the journal is read once for a policy in force, and `anew`.

        Raises:
            ValueError: when the parts share a post, or one is empty.
            StoreDownError: when the journal cannot be asked.
        """
        if self._of != (parts, in_force):
            self._of, self._kept = (parts, in_force), {}
        if days not in self._kept or anew:
            self._kept[days] = self._read(parts, in_force, days)
        return self._kept[days]

    def is_old(self, days: int) -> bool:
        """True where the journal's last days were read a while ago."""
        return days in self._kept and monotonic() - self._kept[days].read_at_s > OLD_AFTER_S

    def _read(self, parts: Parts, in_force: Policy, days: int) -> Opening:
        one, other, calibration = parts
        rows = self._database.read(rows_since, calibration.model_version, days)
        known_scale = next((each.scale for each in self._kept.values()), None)
        scale = known_scale or open_desk(join(one.predictions, other.predictions), calibration.predictions, in_force)
        known = set(calibration.predictions.taxonomy.names)
        fit = tuple(row for row in rows if set(row.intents) == known)
        sample = read_journal([JournalRow(row.routes, row.intents, row.facts) for row in fit], scale)
        return Opening(scale, calibration, sample, fit, days, in_force, monotonic())
