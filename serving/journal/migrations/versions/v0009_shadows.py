"""What another model made of posts that one has answered; and with which keys a policy was proposed and approved."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"


def upgrade() -> None:
    """Makes the table and the column."""
    op.create_table(
        "shadows",
        sa.Column("prediction_id", sa.String(26), primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("route", sa.String(32), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("routes", sa.Text, nullable=False),
        sa.Column("distance", sa.Float(53), nullable=False),
    )
    op.create_index("ix_shadows_at_ms", "shadows", ["at_ms", "prediction_id"])
    op.create_index("ix_shadows_distance", "shadows", ["distance", "prediction_id"])
    op.add_column("policy_events", sa.Column("key", sa.String(64)))


def downgrade() -> None:
    """Drops them."""
    op.drop_column("policy_events", "key")
    op.drop_table("shadows")
