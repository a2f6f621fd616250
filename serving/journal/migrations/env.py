"""What Alembic runs to migrate: one step after another on the connection that it was given, all in one transaction.

A script of Alembic's, never imported: it is only meaningful while Alembic runs it.
"""

from alembic import context

from serving.journal.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
