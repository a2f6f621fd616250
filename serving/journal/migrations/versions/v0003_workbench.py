"""What decisions are found and counted by, and what people make of them: reviews, corrections, policies.

What was decided before gets its facets here, by the databases' own JSON; but for its cluster and its author, which
nobody knows any more.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_FACETS_OF_OLD = """
INSERT INTO facets
    (prediction_id, at_ms, lane, platform, lang, route, intent, action, abstained, confidence, characters,
     model_version, latency_ms, waited_s, lot)
SELECT prediction_id, {at_ms}, lane, {platform}, coalesce({lang}, ''), route, intent, action, abstained, {confidence},
       length(text), model_version, latency_ms, {waited_s}, {lot}
FROM decisions
"""
_SQLITE = {
    "at_ms": "CAST(round((julianday(received_at) - 2440587.5) * 86400000) AS INTEGER)",
    "platform": "json_extract(facts, '$.platform')",
    "lang": "json_extract(facts, '$.lang')",
    "confidence": "json_extract(routes, '$.' || route)",
    "waited_s": "(julianday(received_at) - julianday(posted_at)) * 86400",
    "lot": "abs(random()) % 2147483648",
}
_POSTGRESQL = {
    "at_ms": "CAST(extract(epoch FROM received_at) * 1000 AS BIGINT)",
    "platform": "CAST(facts AS JSON) ->> 'platform'",
    "lang": "CAST(facts AS JSON) ->> 'lang'",
    "confidence": "CAST(CAST(routes AS JSON) ->> route AS DOUBLE PRECISION)",
    "waited_s": "extract(epoch FROM received_at - CAST(posted_at AS TIMESTAMP WITH TIME ZONE))",
    "lot": "CAST(floor(random() * 2147483648) AS INTEGER)",
}


def upgrade() -> None:
    """Makes the tables and fills the one of facets."""
    op.create_table(
        "facets",
        sa.Column("prediction_id", sa.String(26), primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("lane", sa.String(8), nullable=False),
        sa.Column("platform", sa.String(16), nullable=False),
        sa.Column("lang", sa.String(8), nullable=False),
        sa.Column("route", sa.String(32), nullable=False),
        sa.Column("intent", sa.String(64), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("abstained", sa.Boolean, nullable=False),
        sa.Column("confidence", sa.Float(53), nullable=False),
        sa.Column("characters", sa.Integer, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("latency_ms", sa.Float(53), nullable=False),
        sa.Column("waited_s", sa.Float(53)),
        sa.Column("lot", sa.Integer, nullable=False),
        sa.Column("cluster", sa.String(16)),
        sa.Column("author", sa.String(32)),
    )
    op.create_index("ix_facets_at_ms", "facets", ["at_ms", "prediction_id"])
    op.create_index("ix_facets_author", "facets", ["author", "at_ms"])
    op.create_index("ix_facets_cluster", "facets", ["cluster", "at_ms", "lane", "prediction_id"])
    op.create_index("ix_facets_confidence", "facets", ["confidence", "prediction_id"])
    op.create_index("ix_facets_lot", "facets", ["lot", "prediction_id"])
    op.create_table(
        "reviews",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("prediction_id", sa.String(26), nullable=False),
        sa.Column("reader", sa.Text, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("route", sa.String(32)),
        sa.Column("intent", sa.String(64)),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("withdraws", sa.String(26)),
    )
    op.create_index("ix_reviews_made_at", "reviews", ["made_at"])
    op.create_index("ix_reviews_prediction_id", "reviews", ["prediction_id", "reader", "made_at"])
    op.create_index("ix_reviews_reader", "reviews", ["reader", "made_at"])
    op.create_index("ix_reviews_withdraws", "reviews", ["withdraws"], unique=True)
    op.create_table(
        "corrections",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("prediction_id", sa.String(26), nullable=False),
        sa.Column("reader", sa.Text, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("route", sa.String(32), nullable=False),
        sa.Column("intent", sa.String(64), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("predicted_route", sa.String(32), nullable=False),
        sa.Column("predicted_intent", sa.String(64), nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("policy_version", sa.Text, nullable=False),
        sa.Column("taxonomy_version", sa.Text, nullable=False),
    )
    op.create_index("ix_corrections_made_at", "corrections", ["made_at"])
    op.create_index("ix_corrections_prediction_id", "corrections", ["prediction_id"])
    op.create_table(
        "policy_versions",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("version", sa.Text, nullable=False, unique=True),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("base_version", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("diff", sa.Text, nullable=False),
    )
    op.create_table(
        "policy_events",
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("policy_id", sa.String(26), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_policy_events_policy_id", "policy_events", ["policy_id"])
    op.create_table(
        "unmaskings",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("prediction_id", sa.String(26), nullable=False),
        sa.Column("reader", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_unmaskings_at", "unmaskings", ["at"])
    op.create_index("ix_unmaskings_prediction_id", "unmaskings", ["prediction_id"])
    words = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL
    op.execute(_FACETS_OF_OLD.format(**words))


def downgrade() -> None:
    """Drops them, with all that people have said."""
    for table in (
        "facets",
        "reviews",
        "corrections",
        "policy_versions",
        "policy_events",
        "unmaskings",
    ):
        op.drop_table(table)
