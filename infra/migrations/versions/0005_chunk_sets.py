"""Chunk sets: a collection's documents cut and embedded in more than one way, of which one is live."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    for table in ("collections", "chunks", "generations"):
        op.add_column(table, sa.Column("chunk_set", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("generations", sa.Column("chunking", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("generations", sa.Column("fingerprint", sa.String(64), nullable=True))
    op.drop_index("ix_chunks_document", "chunks")
    op.create_index("ix_chunks_document_set", "chunks", ["document_id", "chunk_set", "ordinal"])


def downgrade() -> None:
    """Take back: only the live chunks are left."""
    op.execute(
        "DELETE FROM chunks WHERE NOT EXISTS (SELECT 1 FROM documents JOIN collections ON collections.id = collection_id"
        " WHERE documents.id = document_id AND collections.chunk_set = chunks.chunk_set)"
    )
    op.execute(
        "DELETE FROM generations WHERE chunk_set <> (SELECT chunk_set FROM collections WHERE id = collection_id)"
    )
    op.execute("DELETE FROM vectors WHERE NOT EXISTS (SELECT 1 FROM chunks WHERE vector_hash = vectors.hash)")
    op.drop_index("ix_chunks_document_set", "chunks")
    op.create_index("ix_chunks_document", "chunks", ["document_id", "ordinal"])
    op.drop_column("generations", "fingerprint")
    op.drop_column("generations", "chunking")
    for table in ("generations", "chunks", "collections"):
        op.drop_column(table, "chunk_set")
