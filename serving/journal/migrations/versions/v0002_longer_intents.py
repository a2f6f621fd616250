"""Room for the names of intents that users give: up to 64 characters, where the built-in ones end at 22."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Widens the column; on SQLite, which cannot, the table is written anew."""
    with op.batch_alter_table("decisions") as table:
        table.alter_column("intent", existing_type=sa.String(32), type_=sa.String(64), existing_nullable=False)


def downgrade() -> None:
    """Narrows it, and cuts the names that no longer fit."""
    with op.batch_alter_table("decisions") as table:
        table.alter_column(
            "intent",
            existing_type=sa.String(64),
            type_=sa.String(32),
            existing_nullable=False,
            postgresql_using="left(intent, 32)",
        )
