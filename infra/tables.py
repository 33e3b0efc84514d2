"""The tables: the one truth, of which every index is a view."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite gives automatic numbers only to INTEGER primary keys; PostgreSQL wants 64 bits.
_Serial = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, datetime: DateTime(timezone=True)}  # noqa: RUF012


class Collection(Base):
    """A named set of documents with one live index generation, whose chunks are those of ``chunk_set``.

    ``last_generation`` is the highest number that one ever had: a number that was dropped is not given again.
    """

    __tablename__ = "collections"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    description: Mapped[str | None] = mapped_column(Text)
    encoder: Mapped[str | None] = mapped_column(String(200))
    chunking: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    ranking: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    language: Mapped[str | None] = mapped_column(String(16))
    generation: Mapped[int] = mapped_column(default=1)
    chunk_set: Mapped[int] = mapped_column(default=1, server_default="1")
    last_generation: Mapped[int] = mapped_column(default=1, server_default="1")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Document(Base):
    """A document by the caller's identity ``(collection, external_id)``; ``version`` 0 = none was ever ready.

    ``chunking`` names the settings that its chunks in the live set were cut with, ``chunk_count`` is how many these are.
    """

    __tablename__ = "documents"
    __table_args__ = (UniqueConstraint("collection_id", "external_id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    collection_id: Mapped[str] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"), index=True)
    external_id: Mapped[str] = mapped_column(String(1024))
    version: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(16))
    error_code: Mapped[str | None] = mapped_column(String(64))
    error: Mapped[str | None] = mapped_column(Text)
    source_hash: Mapped[str | None] = mapped_column(String(64))
    title: Mapped[str | None] = mapped_column(Text)
    url: Mapped[str | None] = mapped_column(Text)
    mime: Mapped[str] = mapped_column(String(200))
    meta: Mapped[dict[str, Any]] = mapped_column("metadata")
    allowed_groups: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    caller_version: Mapped[str | None] = mapped_column(String(200))
    chunking: Mapped[str | None] = mapped_column(String(64))
    chunk_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ExtractedText(Base):
    """Extracted text, stored once however many versions have it. ``elements`` are ``[kind, start, end, level, page]`` rows."""

    __tablename__ = "texts"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    elements: Mapped[list[Any]]


class DocumentVersion(Base):
    """One version of a document; old ones stay readable for citations and replay."""

    __tablename__ = "versions"

    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    text_sha256: Mapped[str] = mapped_column(ForeignKey("texts.sha256"), index=True)
    source_hash: Mapped[str] = mapped_column(String(64))
    title: Mapped[str | None] = mapped_column(Text)
    url: Mapped[str | None] = mapped_column(Text)
    mime: Mapped[str] = mapped_column(String(200))
    meta: Mapped[dict[str, Any]] = mapped_column("metadata")
    caller_version: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime]


class ChunkRow(Base):
    """A chunk of a document's current version: a range of its extracted text. ``key`` is its number in every index.

    ``chunk_set`` is the number of the generation that it was first cut for: searches see those of the collection's live set.
    """

    __tablename__ = "chunks"
    __table_args__ = (
        Index("ix_chunks_document_set", "document_id", "chunk_set", "ordinal"),
        {"sqlite_autoincrement": True},
    )

    key: Mapped[int] = mapped_column(_Serial, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    chunk_set: Mapped[int] = mapped_column(default=1, server_default="1")
    version: Mapped[int]
    ordinal: Mapped[int]
    char_start: Mapped[int]
    char_end: Mapped[int]
    heading_path: Mapped[list[Any]]
    page: Mapped[int | None]
    context: Mapped[str] = mapped_column(Text)
    vector_hash: Mapped[str] = mapped_column(String(64), index=True)


class Vector(Base):
    """An embedding, keyed by encoder and hash of the embedded text: embedded once, however many chunks have the text."""

    __tablename__ = "vectors"

    encoder: Mapped[str] = mapped_column(String(200), primary_key=True)
    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Change(Base):
    """The ordered log that indexes follow: ``kind`` is ``put`` or ``delete``; ``detail`` of a delete is its receipt."""

    __tablename__ = "changes"
    __table_args__ = (Index("ix_changes_collection", "collection_id", "seq"), {"sqlite_autoincrement": True})

    seq: Mapped[int] = mapped_column(_Serial, primary_key=True, autoincrement=True)
    collection_id: Mapped[str] = mapped_column(String(40))
    document_id: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(16))
    detail: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime]


class Generation(Base):
    """One way to index a collection: encoder, chunks and index type. ``revision`` counts the merges of later changes into it.

    Its chunks are those of ``chunk_set``, cut with the settings ``chunking``, whose name is ``fingerprint``. ``base_seq`` is the
    last change that the files hold for certain; ``owner`` beats ``heartbeat_at`` while it writes them.
    """

    __tablename__ = "generations"
    __table_args__ = (UniqueConstraint("collection_id", "number"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    collection_id: Mapped[str] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    number: Mapped[int]
    revision: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(16))
    encoder: Mapped[str] = mapped_column(String(200))
    chunk_set: Mapped[int] = mapped_column(default=1, server_default="1")
    chunking: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    target: Mapped[dict[str, Any]]
    base_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    manifest_sha256: Mapped[str | None] = mapped_column(String(64))
    report: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[str | None] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(String(64))
    heartbeat_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    built_at: Mapped[datetime | None]
    promoted_at: Mapped[datetime | None]


class Source(Base):
    """A place that documents come from. ``syncs`` counts the syncs begun; how far it was read is in its entries."""

    __tablename__ = "sources"
    __table_args__ = (UniqueConstraint("collection_id", "kind", "uri"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    collection_id: Mapped[str] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    uri: Mapped[str] = mapped_column(String(2000))
    include: Mapped[list[Any]]
    exclude: Mapped[list[Any]]
    prune: Mapped[bool]
    schedule: Mapped[str | None] = mapped_column(String(100))
    allowed_groups: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    meta: Mapped[dict[str, Any]] = mapped_column("metadata")
    options: Mapped[dict[str, Any]]
    caller: Mapped[str | None] = mapped_column(String(64))
    syncs: Mapped[int] = mapped_column(default=0)
    last_job_id: Mapped[str | None] = mapped_column(String(40))
    synced_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class SourceEntry(Base):
    """What a source listed, by its key there. ``mark`` is the cheap sign of change it had when it was last stored.

    ``identity`` stays when the entry is moved; ``validator`` is what the reader wants back at the next fetch; ``seen`` is the
    number of the last sync that listed it, and ``listed`` that sync's mark of it; ``state`` says what is left to do.
    """

    __tablename__ = "source_entries"
    __table_args__ = (
        Index("ix_source_entries_state", "source_id", "state", "key"),
        Index("ix_source_entries_seen", "source_id", "seen"),
    )

    source_id: Mapped[str] = mapped_column(ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(1024), primary_key=True)
    mark: Mapped[str | None] = mapped_column(String(200))
    listed: Mapped[dict[str, Any]]
    identity: Mapped[str | None] = mapped_column(String(200))
    validator: Mapped[str | None] = mapped_column(String(500))
    seen: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))


class Job(Base):
    """A unit of background work that survives a crash: ``owner`` beats ``heartbeat_at`` while it runs."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    collection_id: Mapped[str | None] = mapped_column(String(40))
    source_id: Mapped[str | None] = mapped_column(String(40), index=True)
    options: Mapped[dict[str, Any]]
    caller: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16), index=True)
    phase: Mapped[str | None] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(Text)
    counts: Mapped[dict[str, Any]]
    failures: Mapped[list[Any]]
    owner: Mapped[str | None] = mapped_column(String(64))
    heartbeat_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]


class JobItem(Base):
    """One document of a job: its spooled bytes (``blob``, a file name in the spool) and attributes, until it is done."""

    __tablename__ = "job_items"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(String(1024))
    blob: Mapped[str] = mapped_column(String(80))
    attributes: Mapped[dict[str, Any]]
    outcome: Mapped[str | None] = mapped_column(String(16))


class AnswerRecord(Base):
    """An answer as it was given; ``body`` is the answer object, ``request`` what was asked."""

    __tablename__ = "answers"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    caller: Mapped[str | None] = mapped_column(String(64), index=True)
    groups: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    question: Mapped[str] = mapped_column(Text)
    request: Mapped[dict[str, Any]]
    body: Mapped[dict[str, Any]]
    redacted: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(index=True)


class AnswerSource(Base):
    """Which document versions an answer's text came from, so that deleting one redacts it."""

    __tablename__ = "answer_sources"

    answer_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True)
    document_id: Mapped[str] = mapped_column(String(40), primary_key=True, index=True)


class Feedback(Base):
    """A reader's judgement of an answer."""

    __tablename__ = "feedback"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    answer_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), index=True)
    rating: Mapped[str] = mapped_column(String(8))
    comment: Mapped[str | None] = mapped_column(Text)
    correction: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]


class Suggestion(Base):
    """A drafted support reply: one per ticket revision, audience and set of readable groups (``scope``)."""

    __tablename__ = "suggestions"
    __table_args__ = (UniqueConstraint("ticket_id", "revision", "scope"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    ticket_id: Mapped[str] = mapped_column(String(200))
    revision: Mapped[str] = mapped_column(String(64))
    scope: Mapped[str] = mapped_column(String(64))
    caller: Mapped[str | None] = mapped_column(String(64))
    answer_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"))
    draft: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str | None] = mapped_column(String(16))
    final_text: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]


class ApiKey(Base):
    """A caller's key: only a hash of the secret is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    hint: Mapped[str] = mapped_column(String(16))
    secret_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[Any]]
    groups: Mapped[list[Any]]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class IdempotentResponse(Base):
    """The first response to a request with an ``Idempotency-Key``, given again to its repeats."""

    __tablename__ = "idempotent_responses"

    scope: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None]
    body: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]


class GoldSet(Base):
    """A named set of gold questions about one collection."""

    __tablename__ = "goldsets"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    collection: Mapped[str] = mapped_column(String(63))
    created_at: Mapped[datetime]


class GoldItem(Base):
    """One gold question, in the contract's JSON form."""

    __tablename__ = "gold_items"

    goldset_id: Mapped[str] = mapped_column(ForeignKey("goldsets.id", ondelete="CASCADE"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[str] = mapped_column(String(200))
    body: Mapped[dict[str, Any]]


class EvalRun(Base):
    """One run of a gold set: its configuration, metrics and per-item results."""

    __tablename__ = "eval_runs"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    goldset: Mapped[str] = mapped_column(String(63), index=True)
    collection: Mapped[str] = mapped_column(String(63))
    config: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str | None] = mapped_column(String(64))
    heartbeat_at: Mapped[datetime | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    verdict: Mapped[str | None] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]
