"""What a commit leaves in the database: exactly what the current versions need, on both databases."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeEncoder, fake_engine, fake_ingestion
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from infra.database import Database
from infra.errors import Conflict, NotFound
from infra.tables import Base, Change, ChunkRow, Document, DocumentVersion, ExtractedText, Vector
from ingest.collections import create_collection, delete_collection, get_collection
from ingest.commit import delete_document, find_document
from ingest.document import Attributes, DocumentInput, Ingested, Outcome
from ingest.pipeline import Ingestion, ingest_batch
from ingest.reading import document_text
from retrieval.access import EVERYTHING
from retrieval.search import SearchQuery, search
from retrieval.store import latest_seq

PARKING = "# Parking\n\nVisitors park in bay Zeta-7 behind the depot.\n"
LEAVE = "# Leave\n\nEngineers accrue 2.25 days of leave a month.\n"


def put(ingestion: Ingestion, external_id: str, text: str, collection: str = "default", **attributes: Any) -> Ingested:
    item = DocumentInput(external_id, text=text, attributes=Attributes(**attributes))
    return ingest_batch(ingestion, collection, [item])[0]


def count(session: Session, table: type[Base]) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def remove(database: Database, external_id: str) -> dict[str, Any]:
    with database.write() as session:
        return delete_document(session, get_collection(session, "default"), external_id)


def document(database: Database, external_id: str) -> Document:
    with database.read() as session:
        found = find_document(session, get_collection(session, "default").id, external_id)
    assert found is not None
    return found


def test_a_new_document_is_stored_whole(database: Database) -> None:
    encoder = FakeEncoder()
    result = put(fake_ingestion(database, encoder), "a.md", PARKING, title="Parking", metadata={"site": "north"})
    assert (result.outcome, result.version) == (Outcome.NEW, 1)
    row = document(database, "a.md")
    assert (row.status, row.version, row.title, row.meta) == ("ready", 1, "Parking", {"site": "north"})
    with database.read() as session:
        assert document_text(session, row.id, None, EVERYTHING) == PARKING
        chunks = session.scalars(select(ChunkRow).order_by(ChunkRow.ordinal)).all()
        assert len(chunks) == row.chunk_count
        assert [chunk.version for chunk in chunks] == [1] * len(chunks)
        # every character that is not a space belongs to exactly one chunk
        covered = "".join(PARKING[chunk.char_start : chunk.char_end] for chunk in chunks)
        assert "".join(covered.split()) == "".join(PARKING.split())
        vectors = {vector.hash: vector.data for vector in session.scalars(select(Vector))}
    assert vectors.keys() == {chunk.vector_hash for chunk in chunks}
    assert all(len(data) == encoder.dim * 4 for data in vectors.values())
    assert len(encoder.texts) == len(vectors)


def test_the_same_again_keeps_the_version_and_encodes_nothing(database: Database) -> None:
    encoder = FakeEncoder()
    ingestion = fake_ingestion(database, encoder)
    first = put(ingestion, "a.md", PARKING, allowed_groups=["b", "a"])
    updated, encoded = document(database, "a.md").updated_at, len(encoder.texts)
    again = put(ingestion, "a.md", PARKING, allowed_groups=["a", "b", "a"])
    assert (again.outcome, again.version, again.document_id) == (Outcome.UNCHANGED, 1, first.document_id)
    assert document(database, "a.md").updated_at == updated
    assert len(encoder.texts) == encoded
    with database.read() as session:
        assert count(session, Change) == 1


@pytest.mark.parametrize(
    "attributes",
    [
        {"title": "Other"},
        {"url": "https://example.org/p"},
        {"metadata": {"site": "south"}},
        {"allowed_groups": ["hr"]},
        {"allowed_groups": []},
        {"version": "2"},
    ],
)
def test_another_attribute_makes_a_version_and_encodes_nothing_new(
    sqlite_database: Database, attributes: dict[str, Any]
) -> None:
    encoder = FakeEncoder()
    ingestion = fake_ingestion(sqlite_database, encoder)
    put(ingestion, "a.md", PARKING, title="Parking")
    encoded = len(encoder.texts)
    result = put(ingestion, "a.md", PARKING, **{"title": "Parking", **attributes})
    assert (result.outcome, result.version) == (Outcome.MODIFIED, 2)
    row = document(sqlite_database, "a.md")
    names = {"metadata": "meta", "version": "caller_version"}
    for name, value in attributes.items():
        assert getattr(row, names.get(name, name)) == value
    if "title" not in attributes:
        assert len(encoder.texts) == encoded, "the title alone is part of what is embedded"


def test_editing_one_paragraph_embeds_only_its_chunks(database: Database) -> None:
    encoder = FakeEncoder()
    ingestion = fake_ingestion(database, encoder)
    parts = [f"## Part {n}\n\n" + f"Sentence about topic number {n} and nothing else at all. " * 3 for n in range(6)]
    put(ingestion, "long.md", "\n\n".join(parts))
    before = len(encoder.texts)
    assert before >= 6
    parts[3] = parts[3].replace("nothing else", "something else")
    put(ingestion, "long.md", "\n\n".join(parts))
    fresh = encoder.texts[before:]
    assert fresh
    assert all("something else" in text for text in fresh)


def test_an_older_version_stays_readable_and_its_chunks_are_gone(database: Database) -> None:
    ingestion = fake_ingestion(database)
    first = put(ingestion, "a.md", PARKING)
    put(ingestion, "a.md", PARKING.replace("Zeta-7", "Kappa-3"))
    assert first.document_id is not None
    with database.read() as session:
        assert "Zeta-7" in document_text(session, first.document_id, 1, EVERYTHING)
        assert "Kappa-3" in document_text(session, first.document_id, None, EVERYTHING)
        assert {chunk.version for chunk in session.scalars(select(ChunkRow))} == {2}
        used = set(session.scalars(select(ChunkRow.vector_hash)))
        assert set(session.scalars(select(Vector.hash))) == used
        with pytest.raises(NotFound) as caught:
            document_text(session, first.document_id, 3, EVERYTHING)
        assert caught.value.code == "version_not_found"


def test_the_same_text_in_two_documents_is_stored_and_embedded_once(database: Database) -> None:
    encoder = FakeEncoder()
    ingestion = fake_ingestion(database, encoder)
    put(ingestion, "a.md", PARKING)
    encoded = list(encoder.texts)
    put(ingestion, "b.md", PARKING)
    assert encoder.texts == encoded
    with database.read() as session:
        assert count(session, ExtractedText) == 1
        assert count(session, Vector) == len(encoded)
        assert count(session, ChunkRow) == 2 * len(encoded)
    remove(database, "a.md")
    engine = fake_engine(database, encoder)
    found = search(engine, SearchQuery("Where do visitors park?"), EVERYTHING)
    assert {p.document.external_id for p in found.passages} == {"b.md"}
    with database.read() as session:
        assert count(session, ExtractedText) == 1
        assert count(session, Vector) == len(encoded)
    remove(database, "b.md")
    with database.read() as session:
        assert (count(session, ExtractedText), count(session, Vector)) == (0, 0)


def test_two_documents_of_one_batch_share_one_encoder_call(database: Database) -> None:
    encoder = FakeEncoder()
    items = [DocumentInput("a.md", text=PARKING), DocumentInput("b.md", text=PARKING)]
    results = ingest_batch(fake_ingestion(database, encoder), "default", items)
    assert [(r.external_id, r.outcome) for r in results] == [("a.md", Outcome.NEW), ("b.md", Outcome.NEW)]
    assert len(encoder.texts) == len(set(encoder.texts))


def test_a_deletion_leaves_nothing_but_its_receipt(database: Database) -> None:
    ingestion = fake_ingestion(database)
    put(ingestion, "a.md", PARKING)
    result = put(ingestion, "a.md", LEAVE)
    chunks = document(database, "a.md").chunk_count
    receipt = remove(database, "a.md")
    with database.read() as session:
        seq = latest_seq(session, get_collection(session, "default").id)
        for table in (Document, DocumentVersion, ExtractedText, ChunkRow, Vector):
            assert count(session, table) == 0
        assert session.scalars(select(Change.detail).where(Change.kind == "delete")).one() == receipt
    assert receipt == {
        "document_id": result.document_id,
        "external_id": "a.md",
        "versions": 2,
        "chunks": chunks,
        "deleted_at": receipt["deleted_at"],
        "seq": seq,
    }
    assert receipt["deleted_at"].endswith("Z")


def test_deleting_what_is_not_there(database: Database) -> None:
    with pytest.raises(NotFound) as caught:
        remove(database, "nope")
    assert caught.value.code == "document_not_found"


def test_a_document_that_comes_again_after_its_deletion_is_a_new_one(database: Database) -> None:
    ingestion = fake_ingestion(database)
    first = put(ingestion, "a.md", PARKING)
    remove(database, "a.md")
    again = put(ingestion, "a.md", PARKING)
    assert (again.outcome, again.version) == (Outcome.NEW, 1)
    assert again.document_id != first.document_id


def test_a_failed_parse_keeps_the_old_version_and_says_why(database: Database, tmp_path: Path) -> None:
    ingestion = fake_ingestion(database)
    path = tmp_path / "a.txt"
    path.write_text(PARKING)
    item = DocumentInput("a.txt", path=path, filename="a.txt")
    assert ingest_batch(ingestion, "default", [item])[0].outcome is Outcome.NEW
    path.write_text("BROKEN")
    failed = ingest_batch(ingestion, "default", [item])[0]
    assert (failed.outcome, failed.version, failed.code) == (Outcome.FAILED, 1, "malformed")
    row = document(database, "a.txt")
    assert (row.status, row.version, row.error_code, row.error) == ("ready", 1, "malformed", "The file is damaged.")
    found = search(fake_engine(database), SearchQuery("visitors"), EVERYTHING)
    assert any("Zeta-7" in passage.text for passage in found.passages)
    # the good bytes again: nothing new, and the error is gone
    path.write_text(PARKING)
    again = ingest_batch(ingestion, "default", [item])[0]
    assert (again.outcome, again.version) == (Outcome.UNCHANGED, 1)
    assert document(database, "a.txt").error is None


def test_a_document_that_was_never_read_is_failed_and_not_searchable(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\x00")
    missing = DocumentInput("gone.txt", path=tmp_path / "gone.txt", filename="gone.txt")
    items = [DocumentInput("a.bin", path=path, filename="a.bin"), DocumentInput("b.md", text=LEAVE), missing]
    results = ingest_batch(fake_ingestion(database), "default", items)
    assert [(r.external_id, r.outcome, r.code) for r in results] == [
        ("a.bin", Outcome.FAILED, "unsupported_format"),
        ("b.md", Outcome.NEW, None),
        ("gone.txt", Outcome.FAILED, "unreadable_file"),
    ]
    assert str(tmp_path) not in (results[2].detail or "")
    assert (document(database, "a.bin").status, document(database, "a.bin").version) == ("failed", 0)
    found = search(fake_engine(database), SearchQuery("leave"), EVERYTHING)
    assert {p.document.external_id for p in found.passages} == {"b.md"}


def test_a_crash_inside_the_transaction_changes_nothing(database: Database) -> None:
    ingestion = fake_ingestion(database)
    put(ingestion, "a.md", PARKING)

    def crash(_session: Session, _results: object) -> None:
        raise RuntimeError("power cut")

    items = [DocumentInput("a.md", text=LEAVE), DocumentInput("b.md", text=LEAVE)]
    with pytest.raises(RuntimeError, match="power cut"):
        ingest_batch(ingestion, "default", items, crash)
    with database.read() as session:
        assert session.scalars(select(Document.external_id)).all() == ["a.md"]
        assert count(session, ExtractedText) == 1
        assert count(session, Change) == 1
    assert document(database, "a.md").version == 1


def test_vectors_of_two_encoders_are_never_mixed(database: Database) -> None:
    put(fake_ingestion(database), "a.md", PARKING)
    with pytest.raises(Conflict) as caught:
        put(fake_ingestion(database, FakeEncoder("other")), "b.md", LEAVE)
    assert caught.value.code == "encoder_mismatch"
    assert "'fake'" in caught.value.detail
    with pytest.raises(Conflict):
        search(fake_engine(database, FakeEncoder("other")), SearchQuery("x"), EVERYTHING)


def test_an_unknown_collection(database: Database) -> None:
    with pytest.raises(NotFound) as caught:
        put(fake_ingestion(database), "a.md", PARKING, collection="nope")
    assert caught.value.code == "collection_not_found"


def test_deleting_a_collection_leaves_nothing_of_it_and_default_stays(database: Database) -> None:
    ingestion = fake_ingestion(database)
    with database.write() as session:
        create_collection(session, "other")
    put(ingestion, "a.md", PARKING, collection="other")
    put(ingestion, "a.md", LEAVE)
    with database.write() as session:
        delete_collection(session, "other")
    with database.read() as session:
        assert session.scalars(select(ExtractedText.text)).all() == [LEAVE]
        with pytest.raises(NotFound):
            get_collection(session, "other")
    with database.write() as session:
        delete_collection(session, "default")
        assert get_collection(session, "default").name == "default"
        assert count(session, Document) == 0


def test_searchers_always_see_exactly_one_version_while_it_is_replaced(database: Database) -> None:
    """Three searchers look without a pause while a document of several chunks is replaced 50 times."""
    ingestion = fake_ingestion(database)

    def text(n: int) -> str:
        return "\n\n".join(f"## Bay {part}\n\nVisitors park in bay number{n} part {part} today." for part in range(3))

    put(ingestion, "a.md", text(0))
    put(ingestion, "other.md", "# Soup\n\nThe canteen serves soup.")
    engine = fake_engine(database)
    wrong: list[object] = []
    looked = [0, 0, 0]
    done = threading.Event()

    def look(number: int) -> None:
        while not done.is_set() or not looked[number]:
            found = search(
                engine,
                SearchQuery("visitors park bay", top_k=20, mode=("hybrid", "lexical", "dense")[number]),
                EVERYTHING,
            )
            seen = [p for p in found.passages if p.document.external_id == "a.md"]
            versions = {(p.document.version, p.text.split("number")[1].split()[0]) for p in seen}
            whole = len({p.char_start for p in seen}) == len(seen) == expected
            if len(versions) != 1 or not whole:
                wrong.append((number, versions, len(seen)))
            looked[number] += 1

    expected = document(database, "a.md").chunk_count
    threads = [threading.Thread(target=look, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        for n in range(1, 51):
            assert put(ingestion, "a.md", text(n)).version == n + 1
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert min(looked) > 0
    assert wrong == []


def test_vectors_that_vanish_again_and_again_do_not_stop_a_batch(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others delete what the batch takes for stored, each time before it commits."""
    monkeypatch.setattr("ingest.embedding.stored_vectors", lambda session, encoder, hashes: set(hashes))
    stored = ingest_batch(fake_ingestion(database), "default", [DocumentInput("a", text="Some text.")])
    assert [each.outcome.value for each in stored] == ["new"]
