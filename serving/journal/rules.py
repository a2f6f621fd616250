"""Rules that forbid a machine to answer certain posts, as people make and remove them. Each ends with its model.

A rule keeps the words that it is about, without masks, names and numbers: enough to know such a post again.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, exists, func, insert, select

from serving.journal.facets import time_of
from serving.journal.reviews import masked, new_id, now
from serving.journal.store import add_row
from serving.journal.tables import DECISIONS, FACETS, RULE_REMOVALS, RULES
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


@dataclass(frozen=True, slots=True)
class RuleWish:
    """That posts like that of a prediction be answered by no machine: by whom, why, and since when (by default now)."""

    prediction_id: str
    kind: RuleKind
    author: str
    reason: str = ""
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """Who took a rule away, why and when."""

    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RuleOnRecord:
    """A rule, whether it holds still, and how many answers it has held back of the decisions that are kept."""

    rule: Rule
    removal: Removal | None
    held: int
    held_last_at: datetime | None


_COLUMNS = [RULES.c[each.name] for each in fields(Rule)]


class NoWordsError(ValueError):
    """A post that says nothing by which others could be known."""


def draft_rule(connection: Connection, wish: RuleWish) -> Rule | None:
    """The rule that is wished for, of the model that judged the post; not kept.

    `None` where the prediction is not in the journal.

    Raises:
        NoWordsError: when its post has no words.
    """
    columns = DECISIONS.c["text", "model_version"]
    found = connection.execute(select(*columns).where(DECISIONS.c.prediction_id == wish.prediction_id)).first()
    if found is None:
        return None
    text, model_version = found
    words = words_of(text)
    if not words:
        raise NoWordsError(
            f"No rule was made: the post of prediction {wish.prediction_id} has no words beside masks and mentions. "
            "Wanted: a post by whose words others can be known. Give its label alone."
        )
    return Rule(
        id=new_id(),
        kind=wish.kind,
        words=words,
        model_version=model_version,
        prediction_id=wish.prediction_id,
        author=wish.author,
        reason=masked(wish.reason),
        made_at=wish.made_at or now(),
    )


def add_rule(connection: Connection, wish: RuleWish) -> Rule | None:
    """The rule of `draft_rule`, which holds from now on; `None` where the prediction is not in the journal.

    Raises:
        NoWordsError: when its post has no words.
    """
    rule = draft_rule(connection, wish)
    if rule is not None:
        connection.execute(insert(RULES), {each.name: getattr(rule, each.name) for each in fields(Rule)})
    return rule


def remove_rule(connection: Connection, rule_id: str, *, by: str, reason: str = "") -> bool:
    """True where a rule held and holds no more."""
    if connection.execute(select(RULES.c.id).where(RULES.c.id == rule_id)).first() is None:
        return False
    row: dict[str, Any] = {"rule_id": rule_id, "by": by, "reason": masked(reason), "at": now()}
    return add_row(connection, RULE_REMOVALS, row)


def standing_rules(connection: Connection) -> tuple[Rule, ...]:
    """The rules that nobody has removed, the oldest first. Those of other models than the one in service do nothing."""
    removed = exists().where(RULE_REMOVALS.c.rule_id == RULES.c.id)
    found = connection.execute(select(*_COLUMNS).where(~removed).order_by(RULES.c.made_at, RULES.c.id))
    return tuple(Rule(*row) for row in found)


def rules_on_record(connection: Connection, *, most: int = 500) -> tuple[RuleOnRecord, ...]:
    """The newest rules, those that were removed too, the newest first."""
    held = select(FACETS.c.held_by, func.count().label("posts"), func.max(FACETS.c.at_ms).label("last_ms"))
    counted = held.where(FACETS.c.held_by.is_not(None)).group_by(FACETS.c.held_by).subquery()
    joined = RULES.outerjoin(RULE_REMOVALS, RULE_REMOVALS.c.rule_id == RULES.c.id)
    joined = joined.outerjoin(counted, counted.c.held_by == RULES.c.id)
    asked = select(*_COLUMNS, *RULE_REMOVALS.c["by", "reason", "at"], counted.c.posts, counted.c.last_ms)
    found = connection.execute(
        asked.select_from(joined).order_by(RULES.c.made_at.desc(), RULES.c.id.desc()).limit(most)
    )
    return tuple(
        RuleOnRecord(Rule(*own), Removal(by, why, at) if by is not None else None, held or 0, last and time_of(last))
        for *own, by, why, at, held, last in found
    )
