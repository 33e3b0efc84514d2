"""The index follows the change log, whoever writes; integrity sees what is missing and what is too much."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import fake_engine, fake_ingestion
from sqlalchemy import delete, select

from infra.database import Database, open_database
from infra.errors import NotFound
from infra.tables import ChunkRow, Vector
from ingest.collections import create_collection, delete_collection, get_collection, set_language
from ingest.commit import delete_document
from ingest.document import Attributes, DocumentInput
from ingest.pipeline import ingest_batch
from retrieval.access import EVERYTHING, Access
from retrieval.engine import Engine
from retrieval.integrity import check_integrity
from retrieval.search import SearchQuery, SearchResult, search
from retrieval.store import find_collections
from retrieval.view import Mode


def put(
    database: Database, external_id: str, text: str, collection: str = "default", groups: list[str] | None = None
) -> None:
    item = DocumentInput(external_id, text=text, attributes=Attributes(allowed_groups=groups))
    ingest_batch(fake_ingestion(database), collection, [item])


def found(engine: Engine, query: str, access: Access = EVERYTHING, **options: object) -> list[str]:
    result = search(engine, SearchQuery(query, **options), access)  # type: ignore[arg-type]
    return [passage.document.external_id for passage in result.passages]


def test_it_follows_the_commits_of_another_process(database: Database, database_url: str) -> None:
    engine = fake_engine(database)
    assert found(engine, "parking") == []
    other = open_database(database_url)
    put(other, "a", "Parking is behind the depot.")
    assert found(engine, "parking") == ["a"]
    put(other, "a", "Cycling is behind the depot.")
    assert found(engine, "parking", mode="lexical") == []
    assert found(engine, "cycling", mode="lexical") == ["a"]
    with other.write() as session:
        delete_document(session, get_collection(session, "default"), "a")
    assert found(engine, "cycling") == []
    assert check_integrity(database, engine.index).ok, "the view holds what was deleted"
    other.close()


def _followed_and_fresh(database: Database) -> Iterator[tuple[SearchResult, SearchResult]]:
    engine = fake_engine(database)
    for n in range(8):
        put(database, f"d{n}", f"Document number {n} speaks of topic {n % 3} and nothing else.")
        found(engine, "warm")
    put(database, "d3", "Document three speaks of the topic of bicycles.")
    with database.write() as session:
        delete_document(session, get_collection(session, "default"), "d5")
    modes: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
    for mode in modes:
        for query in ("topic 1", "bicycles", "document number"):
            asked = SearchQuery(query, mode=mode, top_k=20)
            yield search(engine, asked, EVERYTHING), search(fake_engine(database), asked, EVERYTHING)


def test_a_view_that_followed_holds_what_one_built_anew_holds(database: Database) -> None:
    for followed, fresh in _followed_and_fresh(database):
        assert {(p.chunk_id, p.scores.dense) for p in followed.passages} == {
            (p.chunk_id, p.scores.dense) for p in fresh.passages
        }
        assert followed.index == fresh.index
        assert followed.index.seq == 10


def test_a_view_that_followed_scores_as_one_built_anew(database: Database) -> None:
    for followed, fresh in _followed_and_fresh(database):
        assert [p.chunk_id for p in followed.passages] == [p.chunk_id for p in fresh.passages]
        for one, other in zip(followed.passages, fresh.passages, strict=True):
            assert one.score == pytest.approx(other.score, rel=1e-4, abs=1e-6)
            assert (one.scores.dense, one.scores.lexical is None) == (other.scores.dense, other.scores.lexical is None)
            assert (one.scores.lexical or 0.0) == pytest.approx(other.scores.lexical or 0.0, rel=1e-4)


def test_a_search_says_which_state_it_asked(database: Database) -> None:
    engine = fake_engine(database)
    assert search(engine, SearchQuery("x"), EVERYTHING).index.seq == 0
    put(database, "a", "Some text.")
    result = search(engine, SearchQuery("x"), EVERYTHING)
    assert (result.index.generation, result.index.seq) == (1, 1)


def test_collections_are_searched_by_name_or_all(database: Database) -> None:
    with database.write() as session:
        create_collection(session, "other")
    put(database, "a", "Parking here.")
    put(database, "b", "Parking there.", collection="other")
    engine = fake_engine(database)
    assert sorted(found(engine, "parking")) == ["a", "b"]
    assert found(engine, "parking", collections=["other"]) == ["b"]
    with pytest.raises(NotFound) as caught:
        found(engine, "parking", collections=["other", "nope"])
    assert (caught.value.code, "'nope'" in caught.value.detail) == ("collection_not_found", True)


def test_what_a_caller_may_not_read_is_not_found(database: Database) -> None:
    put(database, "all", "Pay is discussed in May.")
    put(database, "hr", "Pay bands: 91,400 florins.", groups=["hr", "board"])
    put(database, "nobody", "Pay of the founders.", groups=[])
    engine = fake_engine(database)
    eng, hr = Access(frozenset({"eng"})), Access(frozenset({"hr"}))
    for mode in ("hybrid", "dense", "lexical"):
        assert found(engine, "pay", eng, mode=mode) == ["all"]
        assert sorted(found(engine, "pay", hr, mode=mode)) == ["all", "hr"]
        assert sorted(found(engine, "pay", mode=mode)) == ["all", "hr", "nobody"]
        assert found(engine, "pay", eng, mode=mode, filter={"external_id": "hr"}) == []
    # the change of a permission holds from the next search on
    put(database, "hr", "Pay bands: 91,400 florins.", groups=["eng"])
    assert sorted(found(engine, "pay", eng)) == ["all", "hr"]
    assert found(engine, "pay", hr) == ["all"]


def test_filters_reach_metadata_and_document_fields(database: Database) -> None:
    items = [
        DocumentInput(
            f"d{year}", text=f"Annual report {year}.", attributes=Attributes(metadata={"year": year}, title=f"T{year}")
        )
        for year in (2024, 2025, 2026)
    ]
    ingest_batch(fake_ingestion(database), "default", items)
    engine = fake_engine(database)
    assert sorted(found(engine, "report", filter={"year": {"$gte": 2025}})) == ["d2025", "d2026"]
    assert found(engine, "report", filter={"year": {"$in": [2024]}, "title": "T2024"}) == ["d2024"]
    assert found(engine, "report", filter={"year": "2024"}) == []


def test_integrity_of_a_sound_database(database: Database) -> None:
    put(database, "a", "Parking here.")
    put(database, "b", "Leave there.")
    engine = fake_engine(database)
    result = check_integrity(database, engine.index)
    assert (result.ok, result.orphaned_vectors) == (True, 0)
    (row,) = result.collections
    assert (row.name, row.documents, row.chunks, row.vectors, row.lexical, row.missing, row.orphaned) == (
        "default", 2, 2, 2, 2, 0, 0,
    )  # fmt: skip


def test_integrity_sees_a_missing_vector(database: Database) -> None:
    put(database, "a", "Parking here.")
    put(database, "b", "Leave there.")
    with database.write() as session:
        digest = session.scalars(select(ChunkRow.vector_hash).order_by(ChunkRow.key)).first()
        session.execute(delete(Vector).where(Vector.hash == digest))
    engine = fake_engine(database)
    result = check_integrity(database, engine.index)
    (row,) = result.collections
    assert (result.ok, row.chunks, row.vectors, row.lexical, row.missing, row.orphaned) == (False, 2, 1, 2, 1, 0)
    # it can still be found by its words
    assert found(engine, "parking", mode="lexical") == ["a"]


def test_integrity_sees_a_vector_that_vanished_under_a_running_index(database: Database) -> None:
    put(database, "a", "Parking here.")
    engine = fake_engine(database)
    assert found(engine, "parking") == ["a"]
    with database.write() as session:
        session.execute(delete(Vector))
    result = check_integrity(database, engine.index)
    assert not result.ok
    assert result.collections[0].missing == 1


def test_integrity_sees_a_vector_that_nobody_uses(database: Database) -> None:
    put(database, "a", "Parking here.")
    with database.write() as session:
        session.add(Vector(encoder="fake", hash="0" * 64, data=b"\x00" * 256))
    result = check_integrity(database, fake_engine(database).index)
    assert (result.ok, result.orphaned_vectors) == (False, 1)


def test_integrity_sees_entries_of_an_index_that_belong_to_no_chunk(database: Database) -> None:
    put(database, "a", "Parking here.")
    engine = fake_engine(database)
    with database.read() as session:
        view = engine.index.current(find_collections(session, ["default"]))[0]
    put(database, "b", "Leave there.")
    found(engine, "leave")
    with database.write() as session:  # behind the change log's back
        session.execute(delete(ChunkRow).where(ChunkRow.key == 2))
        session.execute(delete(Vector).where(~select(ChunkRow.key).where(ChunkRow.vector_hash == Vector.hash).exists()))
    result = check_integrity(database, engine.index)
    assert (result.ok, result.collections[0].orphaned, len(view.vector_keys())) == (False, 1, 2)


def test_integrity_forgets_views_of_deleted_collections(database: Database) -> None:
    with database.write() as session:
        create_collection(session, "other")
    put(database, "b", "Parking there.", collection="other")
    engine = fake_engine(database)
    assert found(engine, "parking") == ["b"]
    with database.write() as session:
        delete_collection(session, "other")
    assert found(engine, "parking") == []
    assert check_integrity(database, engine.index).ok
    with database.read() as session:
        default = find_collections(session, ["default"])[0].id
    assert engine.index.followed() == {default}


def test_a_write_takes_its_lock_at_once(tmp_path: Path) -> None:
    """A second writer waits for the first from its beginning: what it reads then holds until it commits."""
    import threading

    first, second = (open_database(f"sqlite:///{tmp_path / 'x.db'}") for _ in range(2))
    order: list[str] = []
    inside = threading.Event()

    def write() -> None:
        inside.wait()
        with second.write():
            order.append("second")

    thread = threading.Thread(target=write)
    thread.start()
    with first.write():
        inside.set()
        thread.join(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    first.close()
    second.close()


def test_a_change_of_language_makes_every_process_index_anew(database: Database, database_url: str) -> None:
    put(database, "a", "Das steht in den Verträgen.")
    put(database, "b", "有給休暇は二十日です。")
    engine = fake_engine(database)
    assert found(engine, "Vertrag", mode="lexical") == []
    assert found(engine, "休暇", mode="lexical") == ["b"]
    other = open_database(database_url)
    for language, expected in (("german", ["a"]), ("none", []), ("german", ["a"]), (None, [])):
        with other.write() as session:
            set_language(session, get_collection(session, "default"), language)
        assert found(engine, "Vertrag", mode="lexical") == expected, language
        assert found(fake_engine(database), "Vertrag", mode="lexical") == expected, language
    other.close()
