"""The table of decisions, as it was at first. A migration is never changed once it has been released."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the table and the index by which it is pruned."""
    op.create_table(
        "decisions",
        sa.Column("prediction_id", sa.String(26), primary_key=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("post_id", sa.Text),
        sa.Column("key_name", sa.Text),
        sa.Column("lane", sa.String(8), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("posted_at", sa.String(40)),
        sa.Column("routes", sa.Text, nullable=False),
        sa.Column("intents", sa.Text, nullable=False),
        sa.Column("route", sa.String(32), nullable=False),
        sa.Column("intent", sa.String(32), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("queue", sa.String(32), nullable=False),
        sa.Column("abstained", sa.Boolean, nullable=False),
        sa.Column("move_to_private", sa.Boolean, nullable=False),
        sa.Column("truncated", sa.Boolean, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("policy_version", sa.Text, nullable=False),
        sa.Column("taxonomy_version", sa.Text, nullable=False),
        sa.Column("rendering_version", sa.Text, nullable=False),
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("latency_ms", sa.Float(53), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
    )
    op.create_index("ix_decisions_received_at", "decisions", ["received_at"])


def downgrade() -> None:
    """Drops it, with all that was kept."""
    op.drop_index("ix_decisions_received_at", "decisions")
    op.drop_table("decisions")
