"""Embedding what is not embedded yet."""

from __future__ import annotations

from collections.abc import Iterable

from infra.database import Database
from ingest.chunk_rows import stored_vectors
from ingest.prepare import PreparedChunk
from retrieval.encoders.encoder import Encoder

# Texts that are encoded in one call: vectors become bytes a slice at a time.
_ENCODED_AT_ONCE = 1024


def encode_missing(
    database: Database,
    encoder: Encoder,
    chunks: Iterable[PreparedChunk],
    vectors: dict[str, bytes] | None = None,
    *,
    all_vectors: bool = False,
) -> dict[str, bytes]:
    """Vectors by ``encoder``, as float32 bytes by hash, of those ``chunks`` whose vectors are not stored (or of all).

    They are added to ``vectors``, which is given back.
    """
    vectors = {} if vectors is None else vectors
    texts = {piece.vector_hash: piece.embedded_text for piece in chunks}
    with database.read() as session:
        present = set() if all_vectors else stored_vectors(session, encoder.name, texts)
    missing = [digest for digest in texts if digest not in present and digest not in vectors]
    # Of like length a slice: encoders pad a batch to its longest text.
    missing.sort(key=lambda digest: len(texts[digest]))
    for start in range(0, len(missing), _ENCODED_AT_ONCE):
        part = missing[start : start + _ENCODED_AT_ONCE]
        encoded = encoder.encode([texts[digest] for digest in part], kind="document")
        vectors.update((digest, row.tobytes()) for digest, row in zip(part, encoded, strict=True))
    return vectors
