"""Alembic's entry: runs the revisions on the connection that infra.database hands over."""

from alembic import context

from infra.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=False)
context.run_migrations()
