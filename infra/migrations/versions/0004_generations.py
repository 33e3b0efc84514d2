"""Generations of a collection's index, and how a collection ranks and in which language it is searched."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "generations",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("collection_id", sa.String(40), sa.ForeignKey("collections.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("encoder", sa.String(200), nullable=False),
        sa.Column("target", sa.JSON(), nullable=False),
        sa.Column("base_seq", sa.BigInteger(), nullable=False),
        sa.Column("manifest_sha256", sa.String(64), nullable=True),
        sa.Column("report", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("owner", sa.String(64), nullable=True),
        sa.Column("heartbeat_at", _MOMENT, nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("built_at", _MOMENT, nullable=True),
        sa.Column("promoted_at", _MOMENT, nullable=True),
        sa.UniqueConstraint("collection_id", "number"),
    )
    op.add_column("collections", sa.Column("ranking", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("collections", sa.Column("language", sa.String(16), nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("collections") as collections:
        collections.drop_column("language")
        collections.drop_column("ranking")
    op.drop_table("generations")
