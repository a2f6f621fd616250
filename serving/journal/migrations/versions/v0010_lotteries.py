"""The chance at which automatic answers are drawn to be read, the policy that facets count by, and ids to search by."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_POLICIES_OF_OLD = """
UPDATE facets SET policy_version =
    (SELECT policy_version FROM decisions WHERE decisions.prediction_id = facets.prediction_id)
"""
_SEARCHED = ("post_id", "request_id")


def upgrade() -> None:
    """Makes the table, the column and the indexes; fills the column as far as decisions are still there."""
    op.create_table(
        "lotteries",
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("chance", sa.Float(53), nullable=False),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("by", sa.Text, nullable=False),
    )
    op.add_column("facets", sa.Column("policy_version", sa.Text))
    op.execute(_POLICIES_OF_OLD)
    for column in _SEARCHED:
        op.create_index(f"ix_decisions_{column}", "decisions", [column])


def downgrade() -> None:
    """Drops them."""
    for column in _SEARCHED:
        op.drop_index(f"ix_decisions_{column}", "decisions")
    op.drop_column("facets", "policy_version")
    op.drop_table("lotteries")
