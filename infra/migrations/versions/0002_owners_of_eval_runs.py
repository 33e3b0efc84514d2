"""Owners of eval runs, so that one whose process died does not stay ``running``."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("eval_runs", sa.Column("owner", sa.String(length=64), nullable=True))
    op.add_column("eval_runs", sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("eval_runs") as table:
        table.drop_column("heartbeat_at")
        table.drop_column("owner")
