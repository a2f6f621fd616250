"""How an entry lies in a database: one table, one row a decision. Owns the columns and the way into them.

A change here needs a migration beside it (`migrations/versions/`); a test compares the two.
"""

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

from models.policy import Facts
from serving.journal.entry import Entry

SCHEMA_VERSION = "0002"
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
    Column("request_id", String(128), nullable=False),
    Column("post_id", Text),
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
