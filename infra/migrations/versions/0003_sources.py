"""Sources and what they listed, chunking settings of collections, and what jobs need to be tried again."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "sources",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("collection_id", sa.String(40), sa.ForeignKey("collections.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("uri", sa.String(2000), nullable=False),
        sa.Column("include", sa.JSON(), nullable=False),
        sa.Column("exclude", sa.JSON(), nullable=False),
        sa.Column("prune", sa.Boolean(), nullable=False),
        sa.Column("schedule", sa.String(100), nullable=True),
        sa.Column("allowed_groups", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("caller", sa.String(64), nullable=True),
        sa.Column("syncs", sa.Integer(), nullable=False),
        sa.Column("last_job_id", sa.String(40), nullable=True),
        sa.Column("synced_at", _MOMENT, nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.UniqueConstraint("collection_id", "kind", "uri"),
    )
    op.create_table(
        "source_entries",
        sa.Column("source_id", sa.String(40), sa.ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("key", sa.String(1024), primary_key=True),
        sa.Column("mark", sa.String(200), nullable=True),
        sa.Column("listed", sa.JSON(), nullable=False),
        sa.Column("identity", sa.String(200), nullable=True),
        sa.Column("validator", sa.String(500), nullable=True),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
    )
    op.create_index("ix_source_entries_state", "source_entries", ["source_id", "state", "key"])
    op.create_index("ix_source_entries_seen", "source_entries", ["source_id", "seen"])
    op.add_column("collections", sa.Column("chunking", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("documents", sa.Column("chunking", sa.String(64), nullable=True))
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("source_id", sa.String(40), nullable=True))
        jobs.add_column(sa.Column("options", sa.JSON(), nullable=False, server_default="{}"))
        jobs.add_column(sa.Column("phase", sa.String(16), nullable=True))
        jobs.add_column(sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
        jobs.add_column(sa.Column("error", sa.Text(), nullable=True))
        jobs.create_index("ix_jobs_source_id", ["source_id"])
    # The defaults were for the rows that were there.
    with op.batch_alter_table("jobs") as jobs:
        jobs.alter_column("options", server_default=None)
        jobs.alter_column("attempts", server_default=None)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_index("ix_jobs_source_id")
        for name in ("source_id", "options", "phase", "attempts", "error"):
            jobs.drop_column(name)
    with op.batch_alter_table("documents") as documents:
        documents.drop_column("chunking")
    with op.batch_alter_table("collections") as collections:
        collections.drop_column("chunking")
    op.drop_table("source_entries")
    op.drop_table("sources")
