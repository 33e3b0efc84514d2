"""Content to chunks: all that can be made ready of a document before the database is asked to change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from infra.errors import Unprocessable
from ingest.chunk import chunk
from ingest.chunking import ChunkingSettings
from ingest.document import Attributes, DocumentInput
from ingest.elements import Chunk, ParsedDocument, encoded_text
from ingest.plain import parse_plain
from retrieval.encoders.encoder import Encoder

# (path, filename, content type) -> the parsed document; raises Unsupported or Unprocessable.
Parser = Callable[[Path, str, str | None], ParsedDocument]


@dataclass(frozen=True, slots=True)
class PreparedChunk:
    """A chunk, and the hash of the text that is embedded for it."""

    chunk: Chunk
    embedded_text: str
    vector_hash: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document that is parsed and chunked; ``source_hash`` covers content and attributes.

    ``chunking`` is the fingerprint of the settings that ``chunks`` were cut with.
    """

    external_id: str
    parsed: ParsedDocument
    title: str | None
    attributes: Attributes
    source_hash: str
    chunking: str
    chunks: tuple[PreparedChunk, ...]


# (document, hash of content and attributes, settings) -> what is stored of it, wherever it is made; raises as ``prepare`` does.
Preparer = Callable[[DocumentInput, str, ChunkingSettings], Prepared]


def source_hash(item: DocumentInput, content: bytes) -> str:
    """Hash of what the caller sent, content and attributes: equal hashes mean that nothing changed."""
    attributes = item.attributes
    groups = attributes.allowed_groups
    described = json.dumps(
        [
            "text" if item.text is not None else "file",
            item.filename,
            item.content_type,
            attributes.title,
            attributes.url,
            attributes.metadata,
            None if groups is None else sorted(set(groups)),
            attributes.version,
        ],
        sort_keys=True,
    )
    return hashlib.sha256(described.encode() + b"\0" + content).hexdigest()


def prepare(item: DocumentInput, digest: str, parser: Parser, encoder: Encoder, settings: ChunkingSettings) -> Prepared:
    """Parse and chunk ``item``; raises ``Unsupported`` or ``Unprocessable`` with the reason."""
    if item.text is not None:
        parsed = parse_plain(item.text, item.content_type or "text/plain")
    else:
        if item.path is None:
            raise ValueError("a document input needs text or a path")
        parsed = parser(item.path, item.filename or item.external_id, item.content_type)
    title = item.attributes.title or parsed.title
    parsed = replace(parsed, title=title)
    chunks = cut(parsed, encoder, settings)
    if not chunks:
        raise Unprocessable("The document holds no text that could be indexed.", code="no_text")
    return Prepared(
        external_id=item.external_id,
        parsed=parsed,
        title=title,
        attributes=item.attributes,
        source_hash=digest,
        chunking=settings.fingerprint,
        chunks=chunks,
    )


def cut(parsed: ParsedDocument, encoder: Encoder, settings: ChunkingSettings) -> tuple[PreparedChunk, ...]:
    """The chunks of a parsed document, each with what is embedded for it."""
    prepared = []
    for piece in chunk(parsed, encoder.count_tokens, encoder.max_tokens, settings):
        text = encoded_text(piece.context, parsed.text[piece.start : piece.end])
        prepared.append(PreparedChunk(piece, text, hashlib.sha256(text.encode()).hexdigest()))
    return tuple(prepared)
