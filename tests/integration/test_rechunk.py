"""Chunking settings of a collection: what is there is cut again beside what searches see, and then switched to."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from fakes import FakeEncoder, fake_engine, fake_ingestion
from sqlalchemy import func, select

from infra.database import Database
from infra.errors import Busy, Conflict, InvalidInput, NotFound
from infra.tables import ChunkRow, Collection, Document, DocumentVersion, Job, Vector
from ingest import generation
from ingest.chunking import ChunkingSettings, read_chunking
from ingest.collections import create_collection, describe, get_collection
from ingest.document import DocumentInput, Ingested, Outcome
from ingest.generation import rollback
from ingest.pipeline import Ingestion, ingest_batch
from ingest.rechunk import Progress, rechunk, request_chunking, set_chunking
from retrieval.access import EVERYTHING
from retrieval.answers.answering import Ask, answer
from retrieval.generations.chunk_sets import ChunkSet, fingerprint_of
from retrieval.generations.indexing import IndexFiles
from retrieval.generations.states import begin_build, generations
from retrieval.generations.switch import drop
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
    """Whether the settings hold already."""
    with database.write() as session:
        return set_chunking(session, get_collection(session, "default"), chunking)


def cut_again(
    ingestion: Ingestion, chunking: Mapping[str, Any] | None, progress: Progress = lambda phase, counts: None
) -> dict[str, int]:
    files = IndexFiles(ingestion.database, ingestion.encoder, None)
    return rechunk(ingestion, files, "default", read_chunking(chunking), progress)


def chunks(database: Database) -> dict[str, list[str]]:
    """The texts of the live chunks by external id, in order."""
    found: dict[str, list[str]] = {}
    with database.read() as session:
        rows = session.execute(
            select(ChunkRow, Document.external_id)
            .join(Document, Document.id == ChunkRow.document_id)
            .join(Collection, Collection.id == Document.collection_id)
            .where(ChunkRow.chunk_set == Collection.chunk_set)
            .order_by(Document.external_id, ChunkRow.ordinal)
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


def test_documents_are_cut_beside_the_live_chunks_and_keep_their_versions(database: Database) -> None:
    encoder = FakeEncoder()
    ingestion = fake_ingestion(database, encoder)
    engine = fake_engine(database, encoder)
    for number in range(20):
        put(ingestion, number)
    before = chunks(database)
    search(engine, SearchQuery("wagon 301"), EVERYTHING)
    assert not change(database, OVERLAP)
    seen: list[tuple[str, int]] = []

    def note(phase: str, counts: Mapping[str, int]) -> None:
        assert chunks(database) == before, "searches see the old chunks until all new ones are there"
        seen.append((phase, counts["modified"]))

    assert cut_again(ingestion, OVERLAP, note) == {"scanned": 20, "modified": 20}
    assert seen == [("storing", 16), ("storing", 20)]
    fingerprint = ChunkingSettings("size", 40, 10, 20).fingerprint
    assert state(database) == sorted((f"d{number}", 1, fingerprint) for number in range(20))
    after = chunks(database)
    assert all(after[name] != before[name] for name in before)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(DocumentVersion)) == 20
        collection = get_collection(session, "default")
        assert collection.chunking == ChunkingSettings("size", 40, 10, 20).as_json()
        assert [(row.number, row.state) for row in generations(session, collection)] == [(2, "live"), (1, "retired")]
        counted = dict(session.execute(select(Document.external_id, Document.chunk_count)).all())  # type: ignore[arg-type]
    assert counted == {name: len(texts) for name, texts in after.items()}
    # The view that was built before follows the log.
    assert check_integrity(database, engine.index).ok
    shown = search(engine, SearchQuery("wagon 301", top_k=1), EVERYTHING).passages[0]
    assert shown.text in after["d3"]
    assert rollback(ingestion, "default")["generation"] == 1
    assert chunks(database) == before
    with database.read() as session:
        assert get_collection(session, "default").chunking is None


def test_cut_again_equals_cut_at_once(database: Database) -> None:
    ingestion = fake_ingestion(database)
    put(ingestion, 1)
    cut_again(ingestion, OVERLAP)
    with database.write() as session:
        drop(session, get_collection(session, "default"), 1)
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
        used = set(session.scalars(select(ChunkRow.vector_hash)))
        assert set(session.scalars(select(Vector.hash))) == used
    one, other = by_collection.values()
    assert one == other
    assert len(one) > 3


def test_only_what_is_new_is_embedded(sqlite_database: Database) -> None:
    encoder = FakeEncoder()
    ingestion = fake_ingestion(sqlite_database, encoder)
    put(ingestion, 1)
    cut_again(ingestion, {**SIZE, "overlap_tokens": 4})  # no sentence is so short: the first chunks stay
    sized = len(encoder.texts)
    assert cut_again(ingestion, {**SIZE, "target_tokens": 36, "overlap_tokens": 0})["modified"] == 1
    assert len(encoder.texts) == sized, "the same windows under another name"


def test_settings_that_the_documents_have_already_hold_at_once(database: Database) -> None:
    ingestion = fake_ingestion(database)
    assert change(database, SIZE), "there is no document yet"
    put(ingestion, 1)
    assert state(database) == [("d1", 1, ChunkingSettings("size", 40, 10).fingerprint)]
    assert change(database, SIZE)
    assert not change(database, None)
    with database.write() as session:
        collection = get_collection(session, "default")
        assert request_chunking(session, collection, SIZE, "me") is None
        job = request_chunking(session, collection, None, "me")
        assert job is not None
        assert (job.kind, job.caller, job.options) == ("rechunk", "me", {"chunking": None})
        # Whoever takes it back while that job waits tells the job so.
        assert request_chunking(session, collection, SIZE, "you") is job
        assert job.options == {"chunking": ChunkingSettings("size", 40, 10).as_json()}
        assert collection.chunking == ChunkingSettings("size", 40, 10).as_json()


def test_stopped_in_the_middle_it_goes_on_where_it_was(database: Database) -> None:
    encoder = FakeEncoder()
    ingestion = fake_ingestion(database, encoder)
    for number in range(20):
        put(ingestion, number)
    before = chunks(database)

    def stop(_: str, counts: Mapping[str, int]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_again(ingestion, SIZE, stop)
    assert chunks(database) == before
    assert {chunking for _, _, chunking in state(database)} == {ChunkingSettings().fingerprint}
    encoded = len(encoder.texts)
    seen: list[int] = []
    assert cut_again(ingestion, SIZE, lambda _, counts: seen.append(counts["modified"]))["modified"] == 20
    assert seen == [20], "the first batch of 16 was kept"
    assert len(encoder.texts) - encoded == sum(len(texts) for texts in list(chunks(database).values())[16:])
    assert {chunking for _, _, chunking in state(database)} == {ChunkingSettings("size", 40, 10).fingerprint}


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
    raced.clear()
    cut_again(ingestion, SIZE)
    assert [(name, version) for name, version, _ in state(database)] == [("d0", 1), ("d1", 2), ("d2", 1)]
    with database.read() as session:
        versions = set(session.scalars(select(ChunkRow.version).join(Document).where(Document.external_id == "d1")))
    assert versions == {2}
    assert check_integrity(database, fake_engine(database, encoder).index).ok


def test_documents_that_never_stop_coming_do_not_keep_the_settings_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is replaced after each look for what is not cut yet: the last are cut while its writer waits."""
    ingestion = fake_ingestion(database)
    for number in range(3):
        put(ingestion, number)
    looks: list[int] = []

    def fill_and_replace(*arguments: Any) -> None:
        filled(*arguments)
        looks.append(1)
        ingest_batch(ingestion, "default", [DocumentInput("d1", text=text(100 + len(looks)))])

    filled = generation._complete
    monkeypatch.setattr(generation, "_complete", fill_and_replace)
    cut_again(ingestion, SIZE)
    assert len(looks) < 10
    assert {chunking for _, _, chunking in state(database)} == {ChunkingSettings("size", 40, 10).fingerprint}
    assert {name: version for name, version, _ in state(database)} == {"d0": 1, "d1": 1 + len(looks), "d2": 1}
    assert check_integrity(database, fake_engine(database).index).ok


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


def test_documents_of_other_defaults_stay_until_they_are_sent_again(database: Database) -> None:
    """As after an update whose defaults are others: what was cut with the old ones is searched as it is."""
    ingestion = fake_ingestion(database)
    for number in range(3):
        put(ingestion, number)
    with database.write() as session:
        for document in session.scalars(select(Document).where(Document.external_id != "d2")):
            document.chunking = ChunkingSettings("size", 64, 10).fingerprint
    with database.read() as session:
        assert fingerprint_of(session, get_collection(session, "default")) == "mixed"
    result = put(ingestion, 1)
    assert (result.outcome, result.version) == (Outcome.UNCHANGED, 1)
    defaults = ChunkingSettings().fingerprint
    assert [name for name, _, chunking in state(database) if chunking == defaults] == ["d1", "d2"]
    assert not change(database, None)
    assert cut_again(ingestion, None)["modified"] == 3
    assert {chunking for _, _, chunking in state(database)} == {defaults}
    # What is gone back to was not all cut alike, and is not taken for it.
    rollback(ingestion, "default")
    assert not change(database, None)


def test_documents_from_before_there_were_settings_count_as_cut_by_default(database: Database) -> None:
    ingestion = fake_ingestion(database)
    put(ingestion, 1)
    with database.write() as session:
        session.scalars(select(Document)).one().chunking = None
    assert change(database, {"strategy": "title"})
    assert put(ingestion, 1).outcome is Outcome.UNCHANGED
    assert not change(database, SIZE)


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
    with pytest.raises(InvalidInput), database.write() as session:
        request_chunking(session, get_collection(session, "default"), {"target_tokens": 5}, None)
    with database.read() as session:
        assert get_collection(session, "default").chunking == ChunkingSettings("size", 40, 10).as_json()
        assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_what_cannot_be_cut_again_says_why(database: Database) -> None:
    put(fake_ingestion(database), 1)
    with pytest.raises(Conflict, match="FOOTNOTE_PREVIOUS_ENCODER"):
        cut_again(fake_ingestion(database, FakeEncoder(name="another")), SIZE)
    files = IndexFiles(database, FakeEncoder(), None)
    with pytest.raises(NotFound):
        rechunk(fake_ingestion(database), files, "nowhere", ChunkingSettings(), lambda phase, counts: None)
    with database.write() as session:
        content = ChunkSet("another", None, None, "x")
        begin_build(session, get_collection(session, "default"), content, {}, "elsewhere:1:2")
    with pytest.raises(Busy, match="is being built by another process"):
        cut_again(fake_ingestion(database), SIZE)
    with database.read() as session:
        assert get_collection(session, "default").chunking is None


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
