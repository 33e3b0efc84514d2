"""A passage: one chunk of a document version, as it is shown, scored and cited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """The document version that a passage belongs to."""

    id: str
    external_id: str
    version: int
    title: str | None = None
    url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scores:
    """The score of each leg, on that leg's own scale; ``None`` where the leg did not see the passage."""

    dense: float | None = None
    lexical: float | None = None
    rerank: float | None = None


@dataclass(frozen=True, slots=True)
class Extract:
    """Characters ``[char_start:char_end]`` of a document version's extracted text."""

    text: str
    char_start: int
    char_end: int


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk with its place: ``text`` equals the version's extracted text at ``[char_start:char_end]``.

    ``score`` orders the passages of one search (higher is better); it is not comparable between searches.
    ``context`` is what stands around the chunk and is not in its text: the heading path and, for rows of a table, the header row.
    ``duplicates`` are results of the same search that say the same; ``expanded`` is the passage with its neighbours, if asked.
    """

    chunk_id: str
    document: DocumentRef
    text: str
    heading_path: tuple[str, ...]
    page: int | None
    char_start: int
    char_end: int
    collection: str = ""
    context: str = ""
    score: float = 0.0
    scores: Scores = Scores()
    duplicates: tuple[Passage, ...] = ()
    expanded: Extract | None = None
