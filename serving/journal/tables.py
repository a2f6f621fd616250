"""How decisions, and what people make of them, lie in a database. Owns every table, and the way of an entry into one.

Nothing that people wrote is changed or deleted by them: to undo is a row of its own. What goes by itself, and when,
stands in docs/workbench.md.
A change here needs a migration beside it (`migrations/versions/`); a test compares the two.
"""

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

from models.policy import Facts
from serving.journal.entry import Entry

SCHEMA_VERSION = "0010"
"""The newest migration. Kept here so that a start need not load Alembic to see that there is nothing to do."""
FACTS = TypeAdapter(Facts)
Row = dict[str, Any]
"""A row by its columns."""


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC: SQLite keeps no zones, and a time without one means nothing."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - a port
        """The time as it is kept."""
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - a port
        """The time as it was."""
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


METADATA = MetaData()
DECISIONS = Table(
    "decisions",
    METADATA,
    Column("prediction_id", String(26), primary_key=True),
    Column("received_at", UtcTime, nullable=False, index=True),
    Column("request_id", String(128), nullable=False, index=True),
    Column("post_id", Text, index=True),
    Column("key_name", Text),
    Column("lane", String(8), nullable=False),
    Column("text", Text, nullable=False),
    Column("context", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("posted_at", String(40)),
    Column("routes", Text, nullable=False),
    Column("intents", Text, nullable=False),
    Column("route", String(32), nullable=False),
    Column("intent", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("queue", String(32), nullable=False),
    Column("abstained", Boolean, nullable=False),
    Column("move_to_private", Boolean, nullable=False),
    Column("truncated", Boolean, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("taxonomy_version", Text, nullable=False),
    Column("rendering_version", Text, nullable=False),
    Column("model_sha256", String(64), nullable=False),
    Column("latency_ms", Float(53), nullable=False),
    Column("answer", Text, nullable=False),
)

_HELD = text("held_by IS NOT NULL")
FACETS = Table(
    "facets",
    METADATA,
    Column("prediction_id", String(26), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("lane", String(8), nullable=False),
    Column("platform", String(16), nullable=False),
    Column("lang", String(8), nullable=False),
    Column("route", String(32), nullable=False),
    Column("intent", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("abstained", Boolean, nullable=False),
    Column("confidence", Float(53), nullable=False),
    Column("characters", Integer, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("latency_ms", Float(53), nullable=False),
    Column("waited_s", Float(53)),
    Column("lot", Integer, nullable=False),
    Column("cluster", String(16)),
    Column("author", String(32)),
    Column("held_by", String(26)),
    Column("policy_version", Text),
    Index("ix_facets_at_ms", "at_ms", "prediction_id"),
    Index("ix_facets_confidence", "confidence", "prediction_id"),
    Index("ix_facets_lot", "lot", "prediction_id"),
    Index("ix_facets_cluster", "cluster", "at_ms", "lane", "prediction_id"),
    Index("ix_facets_author", "author", "at_ms"),
    Index("ix_facets_held_by", "held_by", "at_ms", sqlite_where=_HELD, postgresql_where=_HELD),
)
"""By what decisions are found and counted: some 0.4 KB each with its indexes, and nothing of the text."""
SHADOWS = Table(
    "shadows",
    METADATA,
    Column("prediction_id", String(26), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("route", String(32), nullable=False),
    Column("action", String(32), nullable=False),
    Column("routes", Text, nullable=False),
    Column("distance", Float(53), nullable=False),
    Index("ix_shadows_at_ms", "at_ms", "prediction_id"),
    Index("ix_shadows_distance", "distance", "prediction_id"),
)
REVIEWS = Table(
    "reviews",
    METADATA,
    Column("id", String(26), primary_key=True),
    Column("prediction_id", String(26), nullable=False),
    Column("reader", Text, nullable=False),
    Column("made_at", UtcTime, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("route", String(32)),
    Column("intent", String(64)),
    Column("note", Text, nullable=False),
    Column("withdraws", String(26)),
    Index("ix_reviews_prediction_id", "prediction_id", "reader", "made_at"),
    Index("ix_reviews_reader", "reader", "made_at"),
    Index("ix_reviews_made_at", "made_at"),
    Index("ix_reviews_withdraws", "withdraws", unique=True),
)
CORRECTIONS = Table(
    "corrections",
    METADATA,
    Column("id", String(26), primary_key=True),
    Column("prediction_id", String(26), nullable=False, index=True),
    Column("reader", Text, nullable=False),
    Column("made_at", UtcTime, nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("context", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("route", String(32), nullable=False),
    Column("intent", String(64), nullable=False),
    Column("note", Text, nullable=False),
    Column("predicted_route", String(32), nullable=False),
    Column("predicted_intent", String(64), nullable=False),
    Column("model_version", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("taxonomy_version", Text, nullable=False),
)
CORRECTION_WITHDRAWALS = Table(
    "correction_withdrawals",
    METADATA,
    Column("correction_id", String(26), primary_key=True),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)
POLICY_VERSIONS = Table(
    "policy_versions",
    METADATA,
    Column("id", String(26), primary_key=True),
    Column("version", Text, nullable=False, unique=True),
    Column("model_version", Text, nullable=False),
    Column("made_at", UtcTime, nullable=False),
    Column("base_version", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("diff", Text, nullable=False),
)
POLICY_EVENTS = Table(
    "policy_events",
    METADATA,
    Column("place", Integer, primary_key=True),
    Column("policy_id", String(26), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("key", String(64)),
)
UNMASKINGS = Table(
    "unmaskings",
    METADATA,
    Column("id", String(26), primary_key=True),
    Column("prediction_id", String(26), nullable=False, index=True),
    Column("reader", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcTime, nullable=False, index=True),
)
RULES = Table(
    "rules",
    METADATA,
    Column("id", String(26), primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("words", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("prediction_id", String(26), nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_at", UtcTime, nullable=False),
)
RULE_REMOVALS = Table(
    "rule_removals",
    METADATA,
    Column("rule_id", String(26), primary_key=True),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("at", UtcTime, nullable=False),
)
LOTTERIES = Table(
    "lotteries",
    METADATA,
    Column("place", Integer, primary_key=True),
    Column("since", UtcTime, nullable=False),
    Column("chance", Float(53), nullable=False),
    Column("secret", String(64), nullable=False),
    Column("by", Text, nullable=False),
)
BRAKE_EVENTS = Table(
    "brake_events",
    METADATA,
    Column("place", Integer, primary_key=True),
    Column("event", String(16), nullable=False),
    Column("cause", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)


def _storable(text: str | None) -> str | None:
    """A caller's own word, without what one of the databases refuses: NUL, and halves of surrogate pairs."""
    return text and text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def row_of(entry: Entry) -> Row:
    """The row of an entry. `answer` is the JSON that was sent, byte for byte; `posted_at` keeps its own zone."""
    caller, prediction, answer = entry.caller, entry.prediction, entry.answer
    return {
        "prediction_id": answer.prediction_id,
        "received_at": caller.received_at,
        "request_id": caller.request_id,
        "post_id": _storable(answer.id),
        "key_name": _storable(caller.key_name),
        "lane": entry.lane,
        "text": prediction.rendered.text,
        "context": prediction.rendered.context,
        "facts": FACTS.dump_json(prediction.facts).decode(),
        "posted_at": entry.posted_at and entry.posted_at.isoformat(),
        "routes": json.dumps(prediction.routes),
        "intents": json.dumps(prediction.intents),
        "route": prediction.route,
        "intent": prediction.intent,
        "action": prediction.decision.action,
        "queue": prediction.decision.queue,
        "abstained": prediction.decision.abstained,
        "move_to_private": prediction.decision.move_to_private,
        "truncated": prediction.facts.truncated,
        "model_version": answer.versions.model,
        "policy_version": answer.versions.policy,
        "taxonomy_version": answer.versions.taxonomy,
        "rendering_version": answer.versions.rendering,
        "model_sha256": entry.model_sha256,
        "latency_ms": entry.latency_ms,
        "answer": answer.model_dump_json(),
    }
