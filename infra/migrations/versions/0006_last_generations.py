"""The highest number that a generation of a collection ever had: a number that was dropped is not given again."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("collections", sa.Column("last_generation", sa.Integer(), nullable=False, server_default="1"))
    op.execute(
        "UPDATE collections SET last_generation = COALESCE((SELECT MAX(number) FROM generations"
        " WHERE collection_id = collections.id), 1)"
    )
    op.execute("UPDATE collections SET last_generation = generation WHERE generation > last_generation")


def downgrade() -> None:
    """Take back."""
    op.drop_column("collections", "last_generation")
