"""Chunking settings of a collection: what is there is cut again in place, and what comes is cut so from the start."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from fakes import FakeEncoder, fake_engine, fake_ingestion
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from infra.database import Database
from infra.errors import Conflict, InvalidInput, NotFound
from infra.tables import Change, ChunkRow, Document, DocumentVersion, Vector
from ingest.chunking import ChunkingSettings
from ingest.collections import create_collection, describe, get_collection, set_chunking
from ingest.document import DocumentInput, Ingested, Outcome
from ingest.pipeline import Ingestion, ingest_batch
from ingest.rechunk import rechunk
from retrieval.access import EVERYTHING
from retrieval.answers.answering import Ask, answer
from retrieval.integrity import check_integrity
from retrieval.search import SearchQuery, search
from retrieval.store import load_documents

# The fake encoder's token is four characters, and its window 64 tokens.
SIZE = {"strategy": "size", "target_tokens": 40, "minimum_tokens": 10}
OVERLAP = {**SIZE, "overlap_tokens": 20}


def text(number: int, sentences: int = 12) -> str:
    body = " ".join(f"Rule {number}.{place} speaks of wagon {number * 100 + place}." for place in range(sentences))
    return f"# Rules {number}\n\n{body}\n"


def put(ingestion: Ingestion, number: int, collection: str = "default") -> Ingested:
    return ingest_batch(ingestion, collection, [DocumentInput(f"d{number}", text=text(number))])[0]


def change(database: Database, chunking: Mapping[str, Any] | None) -> bool:
    with database.write() as session:
        return set_chunking(session, get_collection(session, "default"), chunking)


def chunks(database: Database) -> dict[str, list[str]]:
    """The texts of all chunks by external id, in order."""
    found: dict[str, list[str]] = {}
    with database.read() as session:
        rows = session.execute(
            select(ChunkRow, Document.external_id).join(Document).order_by(Document.external_id, ChunkRow.ordinal)
        )
        for chunk, name in rows:
            found.setdefault(name, []).append(text(int(name[1:]))[chunk.char_start : chunk.char_end])
    return found


def state(database: Database) -> list[tuple[str, int, str | None]]:
    with database.read() as session:
        rows = session.execute(
            select(Document.external_id, Document.version, Document.chunking).order_by("external_id")
        )
        return [(name, version, chunking) for name, version, chunking in rows]


def test_documents_are_cut_again_without_a_new_version(database: Database) -> None:
    encoder = FakeEncoder()
    ingestion = fake_ingestion(database, encoder)
    engine = fake_engine(database, encoder)
    for number in range(20):
        put(ingestion, number)
    before = chunks(database)
    search(engine, SearchQuery("wagon 301"), EVERYTHING)
    assert change(database, OVERLAP)
    seen: list[dict[str, int]] = []
    counts = rechunk(ingestion, "default", lambda session, counted: seen.append(dict(counted)))
    assert counts == {"scanned": 20, "modified": 20, "unchanged": 0}
    assert [each["modified"] for each in seen] == [8, 16, 20]
    fingerprint = ChunkingSettings("size", 40, 10, 20).fingerprint
    assert state(database) == sorted((f"d{number}", 1, fingerprint) for number in range(20))
    after = chunks(database)
    assert all(after[name] != before[name] for name in before)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(DocumentVersion)) == 20
        assert session.scalar(select(func.count()).select_from(Change)) == 40
        used = set(session.scalars(select(ChunkRow.vector_hash)))
        assert set(session.scalars(select(Vector.hash))) == used
        counted = session.execute(select(Document.id, Document.chunk_count)).all()
        real = dict(session.execute(select(ChunkRow.document_id, func.count()).group_by(ChunkRow.document_id)).all())  # type: ignore[arg-type]
        assert dict(counted) == real  # type: ignore[arg-type]
    # The view that was built before follows the log.
    assert check_integrity(database, engine.index).ok
    shown = search(engine, SearchQuery("wagon 301", top_k=1), EVERYTHING).passages[0]
    assert shown.text in after["d3"]


def test_cut_again_equals_cut_at_once(database: Database) -> None:
    ingestion = fake_ingestion(database)
    put(ingestion, 1)
    change(database, OVERLAP)
    rechunk(ingestion, "default")
    with database.write() as session:
        create_collection(session, "fresh", chunking=OVERLAP)
    put(ingestion, 1, "fresh")
    with database.read() as session:
        rows = session.execute(
            select(Document.collection_id, ChunkRow).join(Document).order_by(ChunkRow.document_id, ChunkRow.ordinal)
        )
        columns = ("char_start", "char_end", "heading_path", "page", "context", "vector_hash", "version", "ordinal")
        by_collection: dict[str, list[tuple[Any, ...]]] = {}
        for collection, chunk in rows:
            by_collection.setdefault(collection, []).append(tuple(getattr(chunk, name) for name in columns))
    one, other = by_collection.values()
    assert one == other
    assert len(one) > 3


def test_only_what_is_new_is_embedded(sqlite_database: Database) -> None:
    encoder = FakeEncoder()
    ingestion = fake_ingestion(sqlite_database, encoder)
    put(ingestion, 1)
    change(sqlite_database, {**SIZE, "overlap_tokens": 4})  # no sentence is so short: the first chunks stay
    rechunk(ingestion, "default")
    sized = len(encoder.texts)
    change(sqlite_database, {**SIZE, "target_tokens": 36, "overlap_tokens": 0})
    assert rechunk(ingestion, "default")["modified"] == 1
    assert len(encoder.texts) == sized, "the same windows under another name"


def test_a_second_call_does_nothing(database: Database) -> None:
    encoder = FakeEncoder()
    ingestion = fake_ingestion(database, encoder)
    put(ingestion, 1)
    change(database, SIZE)
    rechunk(ingestion, "default")
    encoded = len(encoder.texts)
    assert rechunk(ingestion, "default") == {"scanned": 1, "modified": 0, "unchanged": 1}
    assert len(encoder.texts) == encoded
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Change)) == 2


def test_stopped_in_the_middle_it_goes_on_where_it_was(database: Database) -> None:
    ingestion = fake_ingestion(database)
    for number in range(20):
        put(ingestion, number)
    change(database, SIZE)

    def stop(_: Session, counts: Mapping[str, int]) -> None:
        if counts["modified"] > 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rechunk(ingestion, "default", stop)
    fingerprint = ChunkingSettings("size", 40, 10).fingerprint
    assert sum(chunking == fingerprint for _, _, chunking in state(database)) == 8, (
        "the batch that was stopped is undone"
    )
    assert rechunk(ingestion, "default") == {"scanned": 20, "modified": 12, "unchanged": 8}
    assert {chunking for _, _, chunking in state(database)} == {fingerprint}


def test_a_document_that_is_replaced_meanwhile_keeps_its_new_text(database: Database) -> None:
    class Racing(FakeEncoder):
        def encode(self, texts: Any, *, kind: Any = "document") -> Any:
            if not raced and kind == "document":
                raced.append(True)
                ingest_batch(
                    fake_ingestion(database), "default", [DocumentInput("d1", text="# New\n\nAll is new here.\n")]
                )
            return super().encode(texts, kind=kind)

    raced: list[bool] = [True]
    encoder = Racing()
    ingestion = fake_ingestion(database, encoder)
    for number in range(3):
        put(ingestion, number)
    change(database, SIZE)
    raced.clear()
    assert rechunk(ingestion, "default") == {"scanned": 3, "modified": 2, "unchanged": 1}
    assert [(name, version) for name, version, _ in state(database)] == [("d0", 1), ("d1", 2), ("d2", 1)]
    with database.read() as session:
        versions = set(session.scalars(select(ChunkRow.version).join(Document).where(Document.external_id == "d1")))
    assert versions == {2}
    assert check_integrity(database, fake_engine(database, encoder).index).ok


def test_a_document_that_is_being_ingested_meanwhile_is_cut_as_it_is_set_now(database: Database) -> None:
    class Racing(FakeEncoder):
        def encode(self, texts: Any, *, kind: Any = "document") -> Any:
            if not raced:
                raced.append(True)
                change(database, SIZE)
            return super().encode(texts, kind=kind)

    raced: list[bool] = []
    result = put(fake_ingestion(database, Racing()), 1)
    assert (result.outcome, result.version) == (Outcome.NEW, 1)
    assert state(database) == [("d1", 1, ChunkingSettings("size", 40, 10).fingerprint)]


def test_sending_the_same_again_cuts_it_again_and_keeps_the_version(database: Database) -> None:
    ingestion = fake_ingestion(database)
    put(ingestion, 1)
    assert change(database, SIZE)
    result = put(ingestion, 1)
    assert (result.outcome, result.version) == (Outcome.UNCHANGED, 1)
    assert state(database) == [("d1", 1, ChunkingSettings("size", 40, 10).fingerprint)]
    assert rechunk(ingestion, "default")["modified"] == 0
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Change)) == 2


def test_documents_from_before_there_were_settings_count_as_cut_by_default(database: Database) -> None:
    ingestion = fake_ingestion(database)
    put(ingestion, 1)
    with database.write() as session:
        session.scalars(select(Document)).one().chunking = None
    assert not change(database, {"strategy": "title"})
    assert rechunk(ingestion, "default") == {"scanned": 1, "modified": 0, "unchanged": 1}
    assert put(ingestion, 1).outcome is Outcome.UNCHANGED
    assert change(database, SIZE)


def test_settings_are_shown_and_can_be_taken_back(database: Database) -> None:
    change(database, {"strategy": "size"})
    with database.read() as session:
        shown = describe(get_collection(session, "default"))["chunking"]
    assert shown == ChunkingSettings("size").as_json()
    change(database, None)
    with database.read() as session:
        collection = get_collection(session, "default")
        assert collection.chunking is None
        assert describe(collection)["chunking"] == ChunkingSettings().as_json()


def test_bad_settings_change_nothing(database: Database) -> None:
    change(database, SIZE)
    with pytest.raises(InvalidInput):
        change(database, {"target_tokens": 5})
    with database.read() as session:
        assert get_collection(session, "default").chunking == ChunkingSettings("size", 40, 10).as_json()


def test_what_cannot_be_cut_again_says_why(database: Database) -> None:
    put(fake_ingestion(database), 1)
    change(database, SIZE)
    with pytest.raises(Conflict):
        rechunk(fake_ingestion(database, FakeEncoder(name="another")), "default")
    with pytest.raises(NotFound):
        rechunk(fake_ingestion(database), "nowhere")


def test_the_index_knows_what_is_said_again(sqlite_database: Database) -> None:
    encoder = FakeEncoder()
    change(sqlite_database, OVERLAP)
    put(fake_ingestion(sqlite_database, encoder), 1)
    with sqlite_database.read() as session:
        (document,) = load_documents(session, session.scalars(select(Document.id)).all(), encoder.name)
    pieces = document.chunks
    assert pieces[0].repeated == 0
    assert any(piece.repeated for piece in pieces)
    for before, piece in itertools.pairwise(pieces):
        assert before.text.endswith(piece.text[: piece.repeated])
    own = [" ".join(piece.text[piece.repeated :].split()) for piece in pieces]
    assert " ".join(each for each in own if each) == " ".join(text(1).split())


def test_passages_of_an_answer_do_not_overlap(database: Database) -> None:
    encoder = FakeEncoder()
    ingestion = fake_ingestion(database, encoder)
    change(database, OVERLAP)
    put(ingestion, 1)
    stored = chunks(database)["d1"]
    assert any(first.endswith(second[:20]) or second[:20] in first for first, second in itertools.pairwise(stored))
    engine = fake_engine(database, encoder)
    found = search(engine, SearchQuery("wagon 105", top_k=20), EVERYTHING).passages
    assert len(found) == len(stored)
    done = asyncio.run(answer(engine, Ask("Which rule speaks of wagon 105?", top_k=20), EVERYTHING))
    owners = [0] * len(text(1))
    for passage in done.passages:
        assert passage.text == text(1)[passage.char_start : passage.char_end]
        for place in range(passage.char_start, passage.char_end):
            owners[place] += 1
    assert max(owners) == 1
    assert sum("wagon 105." in passage.text for passage in done.passages) == 1
