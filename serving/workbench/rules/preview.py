"""What a rule would have done to the answers of the last days, by the code that then does it (`serving.rules`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from sqlalchemy import Connection

from serving.journal.filter import Filter
from serving.journal.rules import Rule
from serving.journal.samples import KeptText, kept_texts
from serving.rules import RuleBook
from serving.workbench.review.queues import AUTOMATIC

SPANS_DAYS: Mapping[str, int] = MappingProxyType({"1": 1, "7": 7, "30": 30})
MOST_ANSWERS = 10_000
"""Of the newest; looking through so many takes some 0.2 s (docs/workbench.md)."""
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Preview:
    """Of `looked_at` answers of the machine those that a rule would have held back, the newest `examples` of them.

    `all_seen` is false where there were more answers than are looked through.
    """

    days: int
    looked_at: int
    held: int
    examples: tuple[KeptText, ...]
    all_seen: bool


def preview(connection: Connection, rule: Rule, days: int) -> Preview:
    """What the rule would have done to the answers that its model gave in so many days."""
    since = datetime.now(UTC) - timedelta(days=days)
    answered = Filter(since=since, actions=AUTOMATIC, models=(rule.model_version,))
    texts = kept_texts(connection, answered, most=MOST_ANSWERS)
    book = RuleBook([rule])
    held = [each for each in texts if book.find(each.text)]
    return Preview(days, len(texts), len(held), tuple(held[:SHOWN]), len(texts) < MOST_ANSWERS)
