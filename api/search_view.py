"""Search results as callers see them, over HTTP and on the command line."""

from __future__ import annotations

from typing import Any

from infra.errors import FieldError, InvalidInput
from retrieval.passage import DocumentRef, Passage
from retrieval.search import SearchResult


def search_body(result: SearchResult, took_ms: float) -> dict[str, Any]:
    """A search's result as callers see it."""
    return {
        "results": [describe(passage) for passage in result.passages],
        "index": {"generation": result.index.generation, "seq": result.index.seq},
        "took_ms": round(took_ms, 1),
        "timings_ms": dict(result.timings_ms),
    }


def check_question(text: str, field: str) -> str:
    """Return ``text`` without NUL characters and white space around it; raises ``InvalidInput`` if nothing is left."""
    text = text.replace("\x00", " ").strip()
    if not text:
        message = "must not be empty"
        raise InvalidInput(f"{field} {message}.", code=f"empty_{field}", errors=(FieldError(field, message),))
    return text


def describe(passage: Passage) -> dict[str, Any]:
    """A passage as callers see it; its ``context`` is there if it was asked for."""
    shown: dict[str, Any] = {
        "chunk_id": passage.chunk_id,
        "text": passage.text,
        "score": round(passage.score, 6),
        "scores": {
            "dense": passage.scores.dense,
            "lexical": passage.scores.lexical,
            "rerank": passage.scores.rerank,
        },
        "collection": passage.collection,
        "document": _document(passage.document),
        "heading_path": list(passage.heading_path),
        "page": passage.page,
        "char_start": passage.char_start,
        "char_end": passage.char_end,
        "duplicates": [
            {"chunk_id": each.chunk_id, "collection": each.collection, "document": _document(each.document)}
            for each in passage.duplicates
        ],
    }
    if (expanded := passage.expanded) is not None:
        shown["context"] = {
            "text": expanded.text,
            "char_start": expanded.char_start,
            "char_end": expanded.char_end,
        }
    return shown


def _document(document: DocumentRef) -> dict[str, Any]:
    return {
        "id": document.id,
        "external_id": document.external_id,
        "version": document.version,
        "title": document.title,
        "url": document.url,
        "metadata": dict(document.metadata),
    }
