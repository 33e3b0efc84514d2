"""Indexes in Milvus that several clients share: followed by one, seen by all, whole after every crash."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeEncoder, FakeWriter, fake_ingestion
from sqlalchemy import delete

from infra.database import Database, open_database
from infra.errors import Unavailable
from infra.tables import Change
from ingest.chunking import ChunkingSettings
from ingest.collections import create_collection, delete_collection, get_collection, set_language
from ingest.commit import delete_document
from ingest.document import Attributes, DocumentInput
from ingest.generation import build, promote
from ingest.generation import rollback as back
from ingest.pipeline import ingest_batch
from retrieval.access import EVERYTHING, Access
from retrieval.dense.report import RecallTarget
from retrieval.encoders.encoder import HashingEncoder
from retrieval.encoders.others import OtherEncoders
from retrieval.engine import Engine
from retrieval.generations.indexing import IndexFiles
from retrieval.generations.switch import drop
from retrieval.integrity import check_integrity
from retrieval.search import SearchQuery, search
from retrieval.store import CollectionState, find_collections
from retrieval.verify.verifier import DeterministicVerifier

pytest.importorskip("pymilvus", reason="needs pymilvus")
from retrieval.milvus.connection import MilvusConnection
from retrieval.milvus.index import MilvusIndex, drop_set
from retrieval.milvus.schema import index_name, open_index


def put(
    database: Database, external_id: str, text: str, groups: list[str] | None = None, collection: str = "default"
) -> None:
    item = DocumentInput(
        external_id, text=text, attributes=Attributes(allowed_groups=groups, metadata={"n": len(text)})
    )
    ingest_batch(fake_ingestion(database), collection, [item])


def engine_of(database: Database, index: MilvusIndex) -> Engine:
    return Engine(database, FakeEncoder(), index, FakeWriter(), DeterministicVerifier())


def found(engine: Engine, query: str, access: Access = EVERYTHING, **options: object) -> list[str]:
    result = search(engine, SearchQuery(query, **options), access)  # type: ignore[arg-type]
    return [passage.document.external_id for passage in result.passages]


def state_of(database: Database, name: str = "default") -> CollectionState:
    with database.read() as session:
        return find_collections(session, [name])[0]


@pytest.fixture
def indexes(sqlite_database: Database, milvus_url: str) -> Iterator[list[MilvusIndex]]:
    """Two clients of one server, as two processes have them."""
    opened = [MilvusIndex(sqlite_database, FakeEncoder(), milvus_url) for _ in range(2)]
    yield opened
    for index in opened:
        index.close()


def test_every_client_sees_what_any_process_committed(sqlite_database: Database, indexes: list[MilvusIndex]) -> None:
    database, (one, two) = sqlite_database, [engine_of(sqlite_database, index) for index in indexes]
    assert found(one, "parking") == []
    put(database, "a", "Parking is behind the depot.")
    assert found(one, "parking") == ["a"]
    put(database, "a", "Cycling is behind the depot.")
    assert found(two, "parking", mode="lexical") == []
    assert found(two, "cycling", mode="lexical") == found(one, "cycling", mode="lexical") == ["a"]
    put(database, "b", "Cycling allowance.", groups=["hr"])
    for mode in ("hybrid", "dense", "lexical"):
        assert found(one, "cycling", Access(frozenset({"eng"})), mode=mode) == ["a"]
        assert sorted(found(two, "cycling", Access(frozenset({"hr"})), mode=mode)) == ["a", "b"]
    assert found(two, "cycling", filter={"n": {"$lt": 20}}) == ["b"]
    with database.write() as session:
        delete_document(session, get_collection(session, "default"), "a")
    assert found(two, "cycling") == ["b"]
    for engine in (one, two):
        integrity = check_integrity(database, engine.index)
        assert (integrity.ok, integrity.collections[0].documents, integrity.collections[0].vectors) == (True, 1, 1)
    assert indexes[0].check().startswith("Milvus milvus_lite-")


def test_a_replacement_is_seen_old_or_new(sqlite_database: Database, indexes: list[MilvusIndex]) -> None:
    """Both clients look again and again while a document of three chunks is replaced: always three, of one version."""
    database = sqlite_database

    def text(version: int) -> str:
        return "\n\n".join(
            f"## Part {part}\n\nVersion {version} of part {part}. " + "More words. " * 15 for part in range(3)
        )

    put(database, "x", text(0))
    done, seen, errors = threading.Event(), set(), []
    looks = threading.Semaphore(0)

    def look(index: MilvusIndex) -> None:
        try:
            while not done.is_set():
                (view,) = index.current([state_of(database)])
                vector = FakeEncoder().encode(["version part"], kind="query")[0]
                found = view.candidates("version part words", vector, 50, EVERYTHING, None)
                for leg in (found.dense, found.lexical):
                    seen.add(tuple(sorted(leg)))
                looks.release()
        except Exception as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    threads = [threading.Thread(target=look, args=[index]) for index in indexes]
    for thread in threads:
        thread.start()
    for version in range(1, 13):
        put(database, "x", text(version))
        looks.acquire(timeout=20)  # replaced again in the middle of a look, but not before there was one
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(seen) > 2
    versions = {keys[0] for keys in seen}
    assert all(
        len(keys) == len(next(iter(seen))) and keys == tuple(range(keys[0], keys[0] + len(keys))) for keys in seen
    )
    assert len(versions) == len(seen), "two versions share a chunk"


def test_at_each_step_of_a_replacement_all_of_one_version_is_seen(
    sqlite_database: Database, indexes: list[MilvusIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, (writer, reader) = sqlite_database, indexes
    filler = "More words. " * 15
    put(database, "x", f"## One\n\nParking here. {filler}\n\n## Two\n\nParking there. {filler}")
    put(database, "y", "Parking nowhere.", groups=["hr"])
    (view,) = reader.current([state_of(database)])
    vector = FakeEncoder().encode(["parking"], kind="query")[0]
    seen: list[tuple[int, ...]] = []

    def look() -> None:
        found = view.candidates("parking", vector, 50, Access(frozenset({"hr"})), None)
        assert found.dense.keys() == found.lexical.keys()
        seen.append(tuple(sorted(found.dense)))

    def watched(owner: object, name: str) -> None:
        real = getattr(owner, name)

        def step(*args: object) -> object:
            look()
            result = real(*args)
            look()
            return result

        monkeypatch.setattr(owner, name, step)

    watched(writer._connection, "upsert")
    watched(writer._connection, "delete")
    watched(writer._ledger, "publish")
    before = tuple(view.lexical_keys().tolist())
    put(database, "x", f"## One\n\nParking in front. {filler}\n\n## Two\n\nParking behind. {filler}")
    (mine,) = writer.current([state_of(database)])
    mine._grace_s = 0.0
    writer.current([state_of(database)])
    after = tuple(view.lexical_keys().tolist())
    (kept,) = set(before) & set(after)
    assert len(before) == len(after) > 2, "x has new chunks, y has not"
    assert list(dict.fromkeys(seen)) == [before, after]
    assert len(seen) == 8
    seen.clear()
    put(database, "y", "Parking nowhere.", groups=["eng"])
    writer.current([state_of(database)])
    assert list(dict.fromkeys(seen)) == [after, tuple(key for key in after if key != kept)]


def test_it_is_built_once_however_many_ask(sqlite_database: Database, indexes: list[MilvusIndex], monkeypatch) -> None:
    for n in range(5):
        put(sqlite_database, f"d{n}", f"Document number {n}.")
    written: Counter[str] = Counter()
    for index in indexes:
        real = index._connection.upsert

        def upsert(name, rows, each=lambda: None, real=real):  # type: ignore[no-untyped-def]
            written.update(row["id"] for row in rows)
            real(name, rows, each)

        monkeypatch.setattr(index._connection, "upsert", upsert)
    state = state_of(sqlite_database)
    threads = [threading.Thread(target=index.current, args=[[state]]) for index in indexes for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(written.values()) == [1] * 5
    assert indexes[0].current([state])[0].documents == indexes[1].current([state])[0].documents == 5


_BUILDER = """
import os, sys
sys.path.insert(0, sys.argv[3])
from fakes import FakeEncoder
from infra.database import open_database
from retrieval.milvus import index as milvus_index
from retrieval.milvus.index import MilvusIndex
from retrieval.store import find_collections

milvus_index._LOAD = 2
database = open_database(sys.argv[1])
index = MilvusIndex(database, FakeEncoder(), sys.argv[2])
publish, calls = index._ledger.publish, []

def die(*args):
    calls.append(args)
    if len(calls) == 2:
        os._exit(9)  # its rows are written, and nothing says so
    return publish(*args)

index._ledger.publish = die
with database.read() as session:
    states = find_collections(session, ["default"])
index.current(states)
"""


def test_a_builder_that_dies_is_followed_by_another(
    sqlite_database: Database, indexes: list[MilvusIndex], milvus_url: str
) -> None:
    for n in range(6):
        put(sqlite_database, f"d{n}", f"Document number {n} about parking.")
    tests = str(Path(__file__).parents[2])
    address = sqlite_database.engine.url.render_as_string(hide_password=False)
    died = subprocess.run(
        [sys.executable, "-c", _BUILDER, address, milvus_url, tests], check=False, capture_output=True, timeout=120
    )
    assert died.returncode == 9, died.stderr.decode()
    put(sqlite_database, "d3", "Document number three about cycling.")
    with sqlite_database.write() as session:
        delete_document(session, get_collection(session, "default"), "d2")
    engine = engine_of(sqlite_database, indexes[0])
    assert sorted(found(engine, "parking", mode="lexical")) == ["d0", "d1", "d4", "d5"]
    assert found(engine, "cycling", mode="lexical") == ["d3"]
    assert check_integrity(sqlite_database, indexes[0]).ok
    (view,) = indexes[1].current([state_of(sqlite_database)])
    rows = list(view._connection.query(view.index, "until > 0", ["id", "chunk", "until"]))
    live = [row["chunk"] for row in rows if row["until"] == 2**62]
    assert sorted(live) == sorted(set(live)) == view.lexical_keys().tolist()
    # what the dead one had published was not done again
    assert sum(row["id"].endswith(".1") for row in rows) == 2


def test_the_index_is_followed_while_commits_are_held_up(sqlite_database: Database, indexes: list[MilvusIndex]) -> None:
    """As a search does that found texts replaced three times in a row."""
    engine = engine_of(sqlite_database, indexes[0])
    put(sqlite_database, "a", "Parking here.")
    assert found(engine, "parking") == ["a"]
    put(sqlite_database, "b", "Parking there.")
    with sqlite_database.write():
        assert sorted(found(engine, "parking")) == ["a", "b"]


def test_what_milvus_lost_is_built_again(
    sqlite_database: Database, indexes: list[MilvusIndex], milvus_url: str
) -> None:
    put(sqlite_database, "a", "Parking here.")
    assert found(engine_of(sqlite_database, indexes[0]), "parking") == ["a"]
    (view,) = indexes[0].current([state_of(sqlite_database)])
    view._connection.drop(view.index)
    with pytest.raises(Unavailable) as caught:
        found(engine_of(sqlite_database, indexes[0]), "parking")
    assert caught.value.code == "index_unavailable"
    # By the process that noticed, and for the others.
    assert found(engine_of(sqlite_database, indexes[0]), "parking") == ["a"]
    assert found(engine_of(sqlite_database, indexes[1]), "parking") == ["a"]


def test_an_older_copy_of_the_database_is_not_taken_for_the_newer_one(
    sqlite_database: Database, indexes: list[MilvusIndex]
) -> None:
    put(sqlite_database, "a", "Parking here.")
    put(sqlite_database, "b", "Parking there.")
    assert len(found(engine_of(sqlite_database, indexes[0]), "parking")) == 2
    with sqlite_database.write() as session:  # as it was before its second document
        delete_document(session, get_collection(session, "default"), "b")
        session.execute(delete(Change).where(Change.seq > 1))
    engine = engine_of(sqlite_database, indexes[1])
    assert found(engine, "parking") == ["a"]
    assert check_integrity(sqlite_database, indexes[1]).ok


def test_a_deleted_collection_is_dropped_from_milvus(sqlite_database: Database, indexes: list[MilvusIndex]) -> None:
    """By a process that never looked at it, with what its words were in another language."""
    with sqlite_database.write() as session:
        create_collection(session, "other")
    put(sqlite_database, "a", "Parking here.")
    put(sqlite_database, "b", "Parking there.", collection="other")
    indexes[0].current([state_of(sqlite_database, "other")])
    with sqlite_database.write() as session:
        set_language(session, get_collection(session, "other"), "german")
    indexes[0].current([state_of(sqlite_database), state_of(sqlite_database, "other")])

    def held() -> list[str]:
        return sorted(indexes[1]._connection.call(lambda client: client.list_collections()))

    assert len(held()) == 3
    ids = {state_of(sqlite_database, name).id for name in ("default", "other")}
    assert indexes[1].followed() == ids
    indexes[1].forget(ids)
    assert len(held()) == 3, "they are in the database"
    with sqlite_database.write() as session:
        delete_collection(session, "other")
    assert check_integrity(sqlite_database, indexes[1]).ok
    (view,) = indexes[0].current([state_of(sqlite_database)])
    assert held() == [view.index]
    assert found(engine_of(sqlite_database, indexes[0]), "parking") == ["a"]


def test_what_milvus_lost_is_built_again_though_a_change_is_taken_in_first(
    sqlite_database: Database, indexes: list[MilvusIndex]
) -> None:
    engine = engine_of(sqlite_database, indexes[0])
    put(sqlite_database, "a", "Parking here.")
    assert found(engine, "parking") == ["a"]
    (view,) = indexes[0].current([state_of(sqlite_database)])
    view._connection.drop(view.index)
    put(sqlite_database, "b", "Parking there.")
    with pytest.raises(Unavailable):
        found(engine, "parking")
    assert sorted(found(engine, "parking")) == ["a", "b"]
    assert check_integrity(sqlite_database, indexes[0]).ok


def test_what_was_replaced_is_deleted_after_the_grace_time(sqlite_database: Database, milvus_url: str) -> None:
    index = MilvusIndex(sqlite_database, FakeEncoder(), milvus_url, grace_s=0.0)
    put(sqlite_database, "a", "Parking here.")
    (view,) = index.current([state_of(sqlite_database)])
    view._grace_s = 3600.0
    put(sqlite_database, "a", "Cycling here.")
    index.current([state_of(sqlite_database)])

    def chunks() -> list[int]:
        return sorted(row["chunk"] for row in view._connection.query(view.index, "until > 0", ["chunk"]))

    assert (chunks(), view.lexical_keys().tolist()) == ([1, 2], [2]), "a search that began before may still look"
    view._grace_s = 0.0
    index.current([state_of(sqlite_database)])
    assert chunks() == [2]
    index.close()


def test_without_milvus_a_search_says_so(sqlite_database: Database) -> None:
    index = MilvusIndex(sqlite_database, FakeEncoder(), "http://127.0.0.1:9")
    put(sqlite_database, "a", "Parking here.")
    with pytest.raises(Unavailable) as caught:
        found(engine_of(sqlite_database, index), "parking")
    assert (caught.value.status, caught.value.code) == (503, "index_unavailable")
    assert caught.value.detail.startswith("The index in Milvus at http://127.0.0.1:9 cannot be used: ")
    with pytest.raises(Unavailable):
        index.check()
    index.close()


def test_two_databases_on_disk_have_ledgers_of_their_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        database = open_database(f"sqlite:///{tmp_path / name}.db")
        MilvusIndex(database, FakeEncoder(), "http://127.0.0.1:9").close()
        database.close()
    assert {path.name for path in tmp_path.glob("*.milvus-ledger")} == {"one.milvus-ledger", "two.milvus-ledger"}


def test_words_are_of_the_collections_language(sqlite_database: Database, indexes: list[MilvusIndex]) -> None:
    put(sqlite_database, "a", "Die Kündigungsfristen stehen in den Verträgen.")
    one, other = (engine_of(sqlite_database, index) for index in indexes)
    assert found(one, "Vertrag", mode="lexical") == []
    with sqlite_database.write() as session:
        set_language(session, get_collection(session, "default"), "german")
    assert found(one, "Vertrag", mode="lexical") == found(other, "Vertrag", mode="lexical") == ["a"]


def test_another_encoder_is_another_index_until_its_generation_is_dropped(
    sqlite_database: Database, milvus_url: str
) -> None:
    old, new = FakeEncoder(), HashingEncoder(256)
    others = OtherEncoders({"fake": lambda: old})
    for name, text in (("a", "Parking is behind the depot."), ("b", "Cycling is paid for.")):
        put(sqlite_database, name, text)
    index = MilvusIndex(sqlite_database, new, milvus_url, others=others)
    engine = Engine(sqlite_database, new, index, FakeWriter(), DeterministicVerifier(), others=others)
    ingestion = replace(fake_ingestion(sqlite_database, old), encoder=new, others=others)
    assert found(engine, "Cycling is paid for.", mode="dense") == ["b", "a"]
    built = build(ingestion, IndexFiles(sqlite_database, new, None), "default", RecallTarget(), live=True)
    assert (built["state"], built["encoder"], built["report"]) == ("live", "hashing-256", None)
    assert found(engine, "Cycling is paid for.", mode="dense") == ["b", "a"]
    (view,) = index.current([state_of(sqlite_database)])
    assert view.encoder == "hashing-256"
    put_again = [DocumentInput("c", text="Ferries take cycles.")]
    ingest_batch(ingestion, "default", put_again)
    assert found(engine, "Ferries take cycles.", mode="dense")[0] == "c"
    back(ingestion, "default")
    assert found(engine, "Ferries take cycles.", mode="dense")[0] == "c"
    assert check_integrity(sqlite_database, index).ok
    gone = index_name(state_of(sqlite_database).id, "hashing-256", None, 2)
    index.close()

    assert there(milvus_url, gone)
    with sqlite_database.write() as session:
        collection = get_collection(session, "default")
        drop(session, collection, 2)
    drop_set(sqlite_database, milvus_url, None, collection, "hashing-256", 2)
    assert not there(milvus_url, gone)


def there(url: str, index: str) -> bool:
    connection = MilvusConnection(url, None)
    try:
        return open_index(connection, index)
    finally:
        connection.close()


def test_what_came_while_a_generation_was_looked_at_is_in_it_when_it_is_live(
    sqlite_database: Database, milvus_url: str
) -> None:
    put(sqlite_database, "a", "Parking is behind the depot.")
    ingestion, settings = fake_ingestion(sqlite_database), ChunkingSettings("size", 40, 10)
    build(ingestion, IndexFiles(sqlite_database, FakeEncoder(), None), "default", RecallTarget(), chunking=settings)
    index = MilvusIndex(sqlite_database, FakeEncoder(), milvus_url)
    engine = engine_of(sqlite_database, index)
    ahead = replace(engine, generations={"default": 2})
    assert found(ahead, "Parking") == ["a"]
    put(sqlite_database, "b", "Cycling is paid for.")
    assert found(ahead, "Parking") == ["a"]
    promote(ingestion, "default")
    assert found(engine, "Cycling") == ["b", "a"]
    assert check_integrity(sqlite_database, index).ok
    index.close()


def test_a_set_that_is_dropped_is_dropped_in_every_language(sqlite_database: Database, milvus_url: str) -> None:
    put(sqlite_database, "a", "Parking is behind the depot.")
    encoder, settings = FakeEncoder(), ChunkingSettings("size", 40, 10)
    ingestion, files = fake_ingestion(sqlite_database), IndexFiles(sqlite_database, encoder, None)
    index = MilvusIndex(sqlite_database, encoder, milvus_url)
    engine = engine_of(sqlite_database, index)
    build(ingestion, files, "default", RecallTarget(), chunking=settings, live=True)
    for language in (None, "german"):
        with sqlite_database.write() as session:
            set_language(session, get_collection(session, "default"), language)
        assert found(engine, "Parking", mode="lexical") == ["a"]
    back(ingestion, "default")
    index.close()
    names = [index_name(state_of(sqlite_database).id, encoder.name, language, 2) for language in (None, "german")]
    assert [there(milvus_url, name) for name in names] == [True, True]
    with sqlite_database.write() as session:
        collection = get_collection(session, "default")
        drop(session, collection, 2)
    drop_set(sqlite_database, milvus_url, None, collection, encoder.name, 2)
    assert [there(milvus_url, name) for name in names] == [False, False]
