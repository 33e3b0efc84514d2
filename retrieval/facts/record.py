"""A document's facts as bytes and back: one JSON array, which keeps what JSON has to the digit."""

from __future__ import annotations

import json
from datetime import datetime

from retrieval.filters import DocumentFacts

# Not msgspec: the standard library keeps integers of any length, and floats that are infinite or no number.
_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))


def encode_facts(facts: DocumentFacts) -> bytes:
    """The facts as bytes; raises ``ValueError`` where the metadata is not JSON."""
    row = [
        facts.id,
        facts.external_id,
        facts.title,
        facts.url,
        facts.mime,
        facts.version,
        dict(facts.metadata),
        facts.allowed_groups,
        _text(facts.created_at),
        _text(facts.updated_at),
    ]
    try:
        return _ENCODER.encode(row).encode("utf-8", "surrogatepass")
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the metadata cannot be kept as JSON: {error}") from error


def decode_facts(record: bytes) -> DocumentFacts:
    """The facts of ``encode_facts``; moments keep their offset from UTC, not the name of their zone."""
    row = json.loads(record.decode("utf-8", "surrogatepass"))
    id_, external_id, title, url, mime, version, metadata, groups, created_at, updated_at = row
    return DocumentFacts(
        id_,
        external_id,
        title,
        url,
        mime,
        version,
        metadata,
        None if groups is None else tuple(groups),
        _moment(created_at),
        _moment(updated_at),
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
