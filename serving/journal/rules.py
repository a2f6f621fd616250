"""Rules that forbid a machine to answer certain posts, as people make and remove them. Each ends with its model.

A rule keeps the words that it is about, without masks, names and numbers: enough to know such a post again.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, exists, insert, select

from serving.journal.reviews import masked, new_id, now
from serving.journal.store import insert_new
from serving.journal.tables import DECISIONS, RULE_REMOVALS, RULES
from serving.likeness import words_of

RuleKind = Literal["exact", "near"]


@dataclass(frozen=True, slots=True)
class Rule:
    """Posts of these words (`exact`), or nearly these (`near`), are never answered by that model. By whom, and why."""

    id: str
    kind: RuleKind
    words: str
    model_version: str
    prediction_id: str
    author: str
    reason: str
    made_at: datetime


_COLUMNS = RULES.c["id", "kind", "words", "model_version", "prediction_id", "author", "reason", "made_at"]


class NoWordsError(ValueError):
    """A post that says nothing by which others could be known."""


def add_rule(
    connection: Connection,
    prediction_id: str,
    *,
    kind: RuleKind,
    author: str,
    reason: str = "",
    at: datetime | None = None,
) -> Rule | None:
    """The rule that forbids to answer posts like that of a prediction, for the model that judged it.

    `at` is when it was made, by default now. `None` where the prediction is not in the journal.

    Raises:
        NoWordsError: when its post has no words.
    """
    asked = select(DECISIONS.c.text, DECISIONS.c.model_version).where(DECISIONS.c.prediction_id == prediction_id)
    found = connection.execute(asked).first()
    if found is None:
        return None
    words = words_of(found[0])
    if not words:
        raise NoWordsError(
            f"No rule was made: the post of prediction {prediction_id} has no words beside masks and mentions. Wanted: "
            "a post by whose words others can be known. Give its label alone."
        )
    rule = Rule(new_id(), kind, words, found[1], prediction_id, author, masked(reason), at or now())
    connection.execute(insert(RULES), {name: getattr(rule, name) for name in Rule.__slots__})
    return rule


def remove_rule(connection: Connection, rule_id: str, *, by: str) -> bool:
    """True where a rule held and holds no more."""
    if connection.execute(select(RULES.c.id).where(RULES.c.id == rule_id)).first() is None:
        return False
    row: dict[str, Any] = {"rule_id": rule_id, "by": by, "at": now()}
    return connection.execute(insert_new(connection, RULE_REMOVALS), row).rowcount == 1


def standing_rules(connection: Connection) -> tuple[Rule, ...]:
    """The rules that nobody has removed, the oldest first. Those of other models than the one in service do nothing."""
    removed = exists().where(RULE_REMOVALS.c.rule_id == RULES.c.id)
    found = connection.execute(select(*_COLUMNS).where(~removed).order_by(RULES.c.made_at, RULES.c.id))
    return tuple(Rule(*row) for row in found)
