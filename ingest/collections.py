"""Collections: named sets of documents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, exists, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from infra.clock import iso, now
from infra.errors import Conflict, FieldError, InvalidInput, NotFound
from infra.ids import new_id
from infra.tables import Collection, Document
from ingest.chunking import UNNAMED_FINGERPRINT, ChunkingSettings, read_chunking
from ingest.commit import delete_document
from ingest.uploads import supersede
from retrieval.lexical.language import DEFAULT_LANGUAGE, check_language
from retrieval.ranking.settings import read_ranking
from retrieval.store import note_index_change

DEFAULT_COLLECTION = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def check_name(name: str) -> str:
    """Return ``name``, or raise ``InvalidInput`` if it cannot name a collection."""
    if not _NAME.fullmatch(name):
        message = "1 to 63 of a-z, 0-9 and -, not starting with -"
        raise InvalidInput(
            f"Bad collection name; allowed: {message}.",
            code="invalid_collection_name",
            errors=(FieldError("name", message),),
        )
    return name


def create_collection(
    session: Session,
    name: str,
    description: str | None = None,
    chunking: Mapping[str, Any] | None = None,
    language: str | None = None,
    ranking: Mapping[str, Any] | None = None,
) -> Collection:
    """Add a collection; raises ``InvalidInput`` for a bad name, settings or language and ``Conflict`` if it exists."""
    check_name(name)
    check_language(language)
    settings = None if chunking is None else read_chunking(chunking).as_json()
    ranked_by = None if ranking is None else read_ranking(ranking).as_json()
    moment = now()
    collection = Collection(
        id=new_id("col"),
        name=name,
        description=description,
        chunking=settings,
        language=language,
        ranking=ranked_by,
        generation=1,
        created_at=moment,
        updated_at=moment,
    )
    if session.scalar(select(Collection.id).where(Collection.name == name)):
        raise Conflict(f"Collection {name!r} exists already.", code="collection_exists")
    session.add(collection)
    try:
        session.flush()
    except IntegrityError:
        raise Conflict(f"Collection {name!r} exists already.", code="collection_exists") from None
    return collection


def set_language(session: Session, collection: Collection, language: str | None) -> None:
    """Analyse a collection's words in another language; ``None`` = the default, English. Raises ``InvalidInput``.

    Every process makes its index anew at the next search.
    """
    collection.language = check_language(language)
    collection.updated_at = now()
    note_index_change(session, collection.id)


def set_ranking(collection: Collection, ranking: Mapping[str, Any] | None) -> None:
    """Give a collection other ranking settings; ``None`` = the defaults. Raises ``InvalidInput``.

    They hold from the next search on: nothing has to be indexed again.
    """
    collection.ranking = None if ranking is None else read_ranking(ranking).as_json()
    collection.updated_at = now()


def has_documents_cut_otherwise(session: Session, collection: Collection, settings: ChunkingSettings) -> bool:
    """Whether some documents of a collection were cut with other settings than these."""
    otherwise = func.coalesce(Document.chunking, UNNAMED_FINGERPRINT) != settings.fingerprint
    query = exists().where(Document.collection_id == collection.id, Document.version > 0, otherwise)
    return bool(session.scalar(select(query)))


def ensure_collection(session: Session, name: str) -> Collection:
    """The collection, made if it does not exist."""
    found = session.scalar(select(Collection).where(Collection.name == name))
    return found or create_collection(session, name)


def get_collection(session: Session, name: str) -> Collection:
    """The collection; raises ``NotFound``."""
    found = session.scalar(select(Collection).where(Collection.name == name))
    if found is None:
        raise NotFound(f"There is no collection {name!r}.", code="collection_not_found")
    return found


def describe(collection: Collection) -> dict[str, Any]:
    """A collection as callers see it."""
    return {
        "name": collection.name,
        "description": collection.description,
        "chunking": read_chunking(collection.chunking).as_json(),
        "language": collection.language or DEFAULT_LANGUAGE,
        "ranking": read_ranking(collection.ranking).as_json(),
        "created_at": iso(collection.created_at),
        "updated_at": iso(collection.updated_at),
    }


def delete_collection(session: Session, name: str) -> None:
    """Remove a collection with all of its documents; ``default`` always exists and only loses its documents."""
    collection = get_collection(session, name)
    ids = session.scalars(select(Document.external_id).where(Document.collection_id == collection.id)).all()
    if name == DEFAULT_COLLECTION:
        supersede(session, collection.id, ids)  # jobs of other collections fail, as theirs is gone
    for external_id in ids:
        delete_document(session, collection, external_id)
    if name == DEFAULT_COLLECTION:
        return
    session.execute(delete(Collection).where(Collection.id == collection.id))
