"""Corrections that are withdrawn, why a rule was removed, and which rule held an answer back.

Of decisions of before, the rule is read from their reasons by the databases' own JSON.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"

_HELD_BEFORE = """
UPDATE facets SET held_by = (
    SELECT substr({detail}, 6, 26) FROM decisions WHERE decisions.prediction_id = facets.prediction_id
) WHERE action = 'agent' AND prediction_id IN (SELECT prediction_id FROM decisions WHERE {code} = 'must_not_answer')
"""
_SQLITE = {
    "detail": "json_extract(answer, '$.decision.reasons[0].detail')",
    "code": "json_extract(answer, '$.decision.reasons[0].code')",
}
_POSTGRESQL = {
    "detail": "(CAST(answer AS JSON) #>> '{decision,reasons,0,detail}')",
    "code": "(CAST(answer AS JSON) #>> '{decision,reasons,0,code}')",
}


def upgrade() -> None:
    """Makes the table and the columns, and fills the one of facets."""
    op.create_table(
        "correction_withdrawals",
        sa.Column("correction_id", sa.String(26), primary_key=True),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.add_column("rule_removals", sa.Column("reason", sa.Text, nullable=False, server_default=""))
    op.add_column("facets", sa.Column("held_by", sa.String(26)))
    held = sa.text("held_by IS NOT NULL")
    op.create_index("ix_facets_held_by", "facets", ["held_by", "at_ms"], sqlite_where=held, postgresql_where=held)
    words = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL
    op.execute(_HELD_BEFORE.format(**words))


def downgrade() -> None:
    """Drops them, with who took what back and why."""
    op.drop_index("ix_facets_held_by", "facets")
    op.drop_column("facets", "held_by")
    op.drop_column("rule_removals", "reason")
    op.drop_table("correction_withdrawals")
