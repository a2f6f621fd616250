"""What a rule would have done to the answers of the last days, by the code that then does it (`serving.rules`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from data.steps import Steps
from serving.journal.database import Database
from serving.journal.filter import Filter
from serving.journal.rules import Rule
from serving.journal.samples import KeptText, kept_texts
from serving.rules import RuleBook
from serving.workbench.review.queues import AUTOMATIC

SPANS_DAYS: Mapping[str, int] = MappingProxyType({"1": 1, "7": 7, "30": 30})
MOST_ANSWERS = 5_000
"""Of the newest; looking through so many takes some 0.1 s (docs/workbench.md)."""
_PIECE_ANSWERS = 1_000
"""Some 20 ms of one core."""
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


def preview_in_steps(database: Database, rule: Rule, days: int) -> Steps[Preview]:
    """What the rule would have done to the answers that its model gave in so many days, some answers a step."""
    since = datetime.now(UTC) - timedelta(days=days)
    answered = Filter(since=since, actions=AUTOMATIC, models=(rule.model_version,))
    book, held, looked_at, last = RuleBook([rule]), list[KeptText](), 0, None
    while looked_at < MOST_ANSWERS:
        texts = database.read(kept_texts, answered, most=_PIECE_ANSWERS, before=last)
        held += [each for each in texts if book.find(each.text)]
        looked_at += len(texts)
        if len(texts) < _PIECE_ANSWERS:
            break
        last = texts[-1]
        yield
    return Preview(days, looked_at, len(held), tuple(held[:SHOWN]), looked_at < MOST_ANSWERS)
