"""Importing a gold set: its files are checked whole, then its corpus is loaded, then its questions are
stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from evals.anchors import find_quote
from evals.formats import read_gold
from evals.gold import Evidence, GoldItem
from evals.store import check_name, save_goldset
from evals.subject import DocumentInput, DocumentLoader, Subject
from infra.database import Database
from retrieval.access import EVERYTHING

_CANDIDATES = 20
_QUERY_CHARS = 600


@dataclass(frozen=True, slots=True)
class Import:
    """What to import.

    ``name`` defaults to the file's; ``collection`` to the gold set's name if it brings a corpus, else
    ``default``.
    """

    format: str
    path: Path
    name: str | None = None
    collection: str | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """What was stored. ``documents`` counts the corpus, where there is one."""

    goldset: str
    collection: str
    items: int
    answerable: int
    evidence: int
    documents: int | None
    replaced: bool
    notes: tuple[str, ...]


def import_goldset(
    database: Database,
    subject: Subject,
    load: DocumentLoader,
    request: Import,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Imported:
    """Import; ``progress`` gets documents loaded and in all.

    Raises ``InvalidInput`` for bad files, before anything is stored.
    """
    name = check_name(request.name or default_name(request.path))
    source = read_gold(request.format, request.path)
    notes = list(source.notes)
    items = source.items
    documents: int | None = None
    collection = check_name(request.collection or (name if source.documents else "default"))
    if source.documents:
        loaded = load(collection, _counted(source.documents(), source.document_count, progress))
        documents = loaded.documents
        if loaded.refused:
            external_id, reason = loaded.refused[0]
            notes.append(f"{len(loaded.refused)} documents were refused, the first ({external_id}): {reason}")
    if source.unplaced:
        items, lost = _place(items, dict(source.unplaced), subject, collection)
        if lost:
            notes.append(f"{lost} reference contexts stand in no document of {collection!r} and were left out")
    with database.write() as session:
        replaced = save_goldset(session, name, collection, items)
    return Imported(
        goldset=name,
        collection=collection,
        items=len(items),
        answerable=sum(item.answerable for item in items),
        evidence=sum(len(item.evidence) for item in items),
        documents=documents,
        replaced=replaced,
        notes=tuple(notes),
    )


def default_name(path: Path) -> str:
    """A gold set's name from its file's: lower case, everything else a hyphen."""
    return re.sub(r"[^a-z0-9]+", "-", path.absolute().stem.lower()).strip("-")[:63] or "goldset"


def locate(subject: Subject, collection: str, quote: str) -> str | None:
    """The document that holds ``quote``, by searching for it and looking at the best documents' text."""
    found = subject.search(
        quote[:_QUERY_CHARS], collection=collection, mode="hybrid", top_k=_CANDIDATES, access=EVERYTHING
    )
    for external_id in dict.fromkeys(passage.document.external_id for passage in found):
        text = subject.document_text(collection, external_id)
        if text is not None and find_quote(text, quote):
            return external_id
    return None


def _place(
    items: tuple[GoldItem, ...], quotes: dict[str, tuple[str, ...]], subject: Subject, collection: str
) -> tuple[tuple[GoldItem, ...], int]:
    known = {quote: locate(subject, collection, quote) for quote in {q for row in quotes.values() for q in row}}
    placed: list[GoldItem] = []
    for item in items:
        evidence = [
            Evidence(external_id=document, quote=quote)
            for quote in quotes.get(item.id, ())
            if (document := known[quote]) is not None
        ]
        placed.append(msgspec.structs.replace(item, evidence=(*item.evidence, *evidence)))
    return tuple(placed), sum(document is None for document in known.values())


def _counted(
    documents: Iterator[DocumentInput], total: int, progress: Callable[[int, int], None]
) -> Iterator[DocumentInput]:
    for number, document in enumerate(documents, start=1):
        yield document
        progress(number, total)
