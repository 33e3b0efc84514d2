"""Generations: built beside the live one, promoted and rolled back in one step, followed by readers, merged with changes."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from fakes import FakeEncoder, fake_engine, fake_ingestion
from queues import finished, show, wait_for
from sqlalchemy import select

from infra.database import Database
from infra.errors import Busy, Conflict, NotFound
from infra.tables import Document, Generation, Job, Source
from ingest.collections import get_collection, set_language
from ingest.commit import delete_document
from ingest.document import Attributes, DocumentInput
from ingest.pipeline import ingest_batch
from ingest.queue import JobQueue
from ingest.runner import JobRunner
from ingest.spool import Spool
from retrieval.access import EVERYTHING, Access
from retrieval.dense.report import RecallTarget
from retrieval.engine import Engine
from retrieval.generations import files as generation_files
from retrieval.generations import indexing
from retrieval.generations.indexing import IndexFiles, build, changed_chunks, deleted_chunks, due_merges, merge
from retrieval.generations.layered_view import LayeredView
from retrieval.generations.manifest import damaged_files, read_manifest
from retrieval.generations.states import describe, folder_of, generations, remove_unused
from retrieval.generations.switch import drop, promote, rollback
from retrieval.index import Index
from retrieval.integrity import check_integrity
from retrieval.search import SearchQuery, search
from retrieval.store import find_collections
from retrieval.view import CollectionView, Mode

MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
HR = Access(frozenset({"hr"}))


@pytest.fixture
def files(database: Database, tmp_path: Path) -> IndexFiles:
    return IndexFiles(database, FakeEncoder(), tmp_path / "index")


def put(files: IndexFiles, external_id: str, text: str, groups: list[str] | None = None, **metadata: Any) -> None:
    item = DocumentInput(external_id, text=text, attributes=Attributes(allowed_groups=groups, metadata=metadata))
    ingest_batch(fake_ingestion(files.database), "default", [item])


def fill(files: IndexFiles, count: int = 30) -> None:
    items = [
        DocumentInput(
            f"d{n}",
            text=f"# Rule {n}\n\nRule {n} speaks of wagon {n * 7}, depot {n % 4}.\n\n## More\n\nThe brake of wagon {n * 7}.",
            attributes=Attributes(allowed_groups=["hr"] if n % 3 == 0 else None, metadata={"depot": n % 4}),
        )
        for n in range(count)
    ]
    ingest_batch(fake_ingestion(files.database), "default", items)


def remove(files: IndexFiles, external_id: str) -> None:
    with files.database.write() as session:
        delete_document(session, get_collection(session, "default"), external_id)


def reader(files: IndexFiles) -> Engine:
    engine = fake_engine(files.database)
    return replace(engine, index=Index(files.database, engine.encoder, files.folder))


def view(engine: Engine) -> Any:
    with engine.database.read() as session:
        return engine.index.current(find_collections(session, ["default"]))[0]


def found(engine: Engine, query: str, access: Access = EVERYTHING, **options: Any) -> list[str]:
    result = search(engine, SearchQuery(query, **{"top_k": 50, **options}), access)
    return [passage.document.external_id for passage in result.passages]


def rows(files: IndexFiles) -> list[dict[str, Any]]:
    with files.database.read() as session:
        return [describe(row) for row in generations(session, get_collection(session, "default"))]


def same_answers(one: Engine, other: Engine) -> None:
    """Both hold the same chunks with the same cosines, and find the same by words."""
    for access in (EVERYTHING, HR):
        for filter_ in (None, {"depot": {"$ne": 1}}, {"external_id": "d4"}, {"depot": 77}):
            for query in ("rule wagon 21", "nothing of it"):
                for mode in MODES:
                    asked = SearchQuery(query, mode=mode, top_k=200, filter=filter_)
                    a, b = (search(engine, asked, access).passages for engine in (one, other))
                    assert {(p.chunk_id, p.text) for p in a} == {(p.chunk_id, p.text) for p in b}
                    assert {p.chunk_id: p.scores.dense for p in a} == pytest.approx(
                        {p.chunk_id: p.scores.dense for p in b}, abs=1e-3
                    )


def test_files_answer_as_memory_does(files: IndexFiles) -> None:
    fill(files)
    made = build(files, "default", RecallTarget(), live=True)
    assert (made["generation"], made["state"], made["report"]["documents"]) == (2, "live", 30)
    engine = reader(files)
    layered = view(engine)
    assert isinstance(layered, LayeredView)
    assert (layered.delta_chunks, layered.documents) == (0, 30)
    same_answers(engine, fake_engine(files.database))
    assert search(engine, SearchQuery("rule"), EVERYTHING).index.generation == 2
    assert check_integrity(files.database, engine.index).ok


def test_what_changes_afterwards_is_seen_at_once(files: IndexFiles) -> None:
    fill(files)
    build(files, "default", RecallTarget(), live=True)
    engine = reader(files)
    assert found(engine, "wagon 35", mode="lexical", top_k=1) == ["d5"]
    put(files, "d5", "Rule five speaks of ferries now.")
    remove(files, "d6")
    put(files, "new", "A ferry to the island.", groups=["hr"])
    put(files, "d8", "# Rule 8\n\nOnly the board reads of wagon 56.", groups=["board"])
    assert "d5" not in found(engine, "35", mode="lexical")
    assert set(found(engine, "ferries ferry", mode="lexical")) == {"d5", "new"}
    assert found(engine, "ferry island", Access(frozenset()), mode="lexical") == ["d5"]
    assert "d6" not in found(engine, "rule 6 wagon 42") + found(engine, "rule 6", mode="dense")
    assert found(engine, "56", HR, mode="lexical") == []
    layered = view(engine)
    assert (layered.documents, layered.delta_chunks) == (30, 3)
    same_answers(engine, fake_engine(files.database))
    assert check_integrity(files.database, engine.index).ok


def test_promoting_and_rolling_back_reach_every_reader(files: IndexFiles) -> None:
    fill(files, 6)
    engine = reader(files)
    assert isinstance(view(engine), CollectionView)
    build(files, "default", RecallTarget())
    assert (rows(files)[0]["state"], search(engine, SearchQuery("x"), EVERYTHING).index.generation) == ("ready", 1)
    assert isinstance(view(engine), CollectionView), "what is built is not used before it is promoted"
    switch(files, promote)
    assert isinstance(view(engine), LayeredView)
    put(files, "late", "A late rule.")
    build(files, "default", RecallTarget(), live=True)
    assert [(row["generation"], row["state"]) for row in rows(files)] == [(3, "live"), (2, "retired"), (1, "retired")]
    assert view(engine).delta_chunks == 0
    assert switch(files, rollback) == 2
    assert (view(engine).base.manifest.number, view(engine).delta_chunks) == (2, 1)
    assert found(engine, "late", mode="lexical") == ["late"]
    assert switch(files, rollback) == 1
    assert isinstance(view(engine), CollectionView)
    with pytest.raises(NotFound, match="no generation to go back to"):
        switch(files, rollback)
    assert switch(files, lambda session, collection: promote(session, collection, 3)) == 3
    same_answers(engine, fake_engine(files.database))


def switch(files: IndexFiles, change: Any) -> int:
    with files.database.write() as session:
        row: Generation = change(session, get_collection(session, "default"))
        return row.number


def test_what_cannot_be_promoted_or_dropped(files: IndexFiles) -> None:
    fill(files, 3)
    with pytest.raises(NotFound, match="build one first"):
        switch(files, promote)
    build(files, "default", RecallTarget(), live=True)
    with pytest.raises(NotFound, match="no generation 9; there are: 1, 2"):
        switch(files, lambda session, collection: promote(session, collection, 9))
    with pytest.raises(Conflict, match="is live"):
        switch(files, lambda session, collection: drop(session, collection, 2))
    with files.database.write() as session:
        row = generations(session, get_collection(session, "default"))[0]
        row.encoder, row.state = "another", "ready"
    with pytest.raises(Conflict, match="never mixed"):
        switch(files, lambda session, collection: promote(session, collection, 2))


class Killed(BaseException):
    pass


def test_a_build_that_was_stopped_goes_on(files: IndexFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(files, 5)

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    monkeypatch.setattr(generation_files, "build_dense", die)
    with pytest.raises(Killed):
        build(files, "default", RecallTarget())
    assert (rows(files)[0]["state"], rows(files)[0]["error"]) == ("building", "it was stopped (Killed)")
    monkeypatch.undo()
    put(files, "late", "A late rule of the ferry.")
    read: list[int] = []
    made = build(files, "default", RecallTarget(), live=True, progress=lambda done, _: read.append(done))
    assert (made["generation"], made["report"]["documents"], read) == (2, 5, []), "what was read is not read again"
    engine = reader(files)
    assert found(engine, "ferry", mode="lexical") == ["late"]
    same_answers(engine, fake_engine(files.database))


def test_another_target_begins_anew(files: IndexFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(files, 5)

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    monkeypatch.setattr(generation_files, "build_dense", die)
    with pytest.raises(Killed):
        build(files, "default", RecallTarget())
    monkeypatch.undo()
    put(files, "late", "A late rule.")
    made = build(files, "default", RecallTarget(recall=0.95))
    assert (made["report"]["documents"], len(rows(files))) == (6, 1)


@pytest.mark.parametrize("merging", [False, True])
def test_a_build_that_cannot_be_noted_is_let_go(
    files: IndexFiles, monkeypatch: pytest.MonkeyPatch, merging: bool
) -> None:
    fill(files, 3)
    if merging:
        build(files, "default", RecallTarget(), live=True)

    def refuse(*_: Any) -> None:
        raise Busy("It is another's turn.")

    monkeypatch.setattr(indexing, "finish_merge" if merging else "finish_build", refuse)
    with pytest.raises(Busy):
        merge(files, "default")
    with files.database.read() as session:
        row = generations(session, get_collection(session, "default"))[0]
    assert (row.owner, row.error) == (None, "It is another's turn."), "else nobody could go on while this process lives"
    monkeypatch.undo()
    assert merge(files, "default") is not None
    same_answers(reader(files), fake_engine(files.database))


def test_one_process_builds_at_a_time(files: IndexFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(files, 3)

    def meanwhile(*_: Any) -> None:
        with files.database.write() as session:
            parent = psutil.Process().parent()
            assert parent is not None
            row = generations(session, get_collection(session, "default"))[0]
            assert row.owner is not None
            host = row.owner.rsplit(":", 2)[0]
            row.owner = f"{host}:{parent.pid}:{int(parent.create_time())}"

    with pytest.raises(Conflict, match="taken over"):
        build(files, "default", RecallTarget(), progress=meanwhile)
    with pytest.raises(Conflict, match="is being built by another process"):
        build(files, "default", RecallTarget())


@pytest.mark.parametrize("damage", ["cut", "gone", "other manifest"])
def test_damaged_files_are_not_used(files: IndexFiles, damage: str) -> None:
    fill(files, 6)
    build(files, "default", RecallTarget(), live=True)
    with files.database.read() as session:
        state = find_collections(session, ["default"])[0]
    assert state.base is not None
    folder = folder_of(files.folder, state.id, 2, 0)
    manifest = read_manifest(folder, state.base.manifest_sha256)
    assert damaged_files(folder, manifest) == []
    if damage == "cut":
        (folder / "keys.npy").write_bytes((folder / "keys.npy").read_bytes()[:-8])
        assert damaged_files(folder, manifest) == ["keys.npy"]
    elif damage == "gone":
        folder.rename(folder.with_name("elsewhere"))
    else:
        (folder / "manifest.json").write_bytes((folder / "manifest.json").read_bytes() + b" ")
    engine = reader(files)
    assert isinstance(view(engine), CollectionView), "all is in memory instead"
    same_answers(engine, fake_engine(files.database))


def test_a_byte_that_flipped_is_found_by_checking(files: IndexFiles) -> None:
    fill(files, 6)
    build(files, "default", RecallTarget(), live=True)
    with files.database.read() as session:
        state = find_collections(session, ["default"])[0]
    assert state.base is not None
    folder = folder_of(files.folder, state.id, 2, 0)
    content = bytearray((folder / "places.npy").read_bytes())
    content[-1] ^= 1
    (folder / "places.npy").write_bytes(content)
    assert damaged_files(folder, read_manifest(folder, state.base.manifest_sha256)) == ["places.npy"]


def test_a_merge_takes_the_changes_into_the_files(files: IndexFiles) -> None:
    fill(files, 10)
    build(files, "default", RecallTarget(), live=True)
    engine = reader(files)
    put(files, "late", "A late rule of the ferry.")
    remove(files, "d1")
    assert view(engine).delta_chunks == 1
    made = merge(files, "default")
    assert made is not None
    assert (made["generation"], made["revision"], made["state"], made["report"]["documents"]) == (2, 1, "live", 10)
    assert (view(engine).delta_chunks, view(engine).base.manifest.revision) == (0, 1)
    same_answers(engine, fake_engine(files.database))
    kept = sorted(path.name for path in files.folder.glob("*/*"))
    assert kept == ["2-0", "2-1"], "a reader may be about to open the one before"
    merge(files, "default")
    assert sorted(path.name for path in files.folder.glob("*/*")) == ["2-1", "2-2"]
    next_one = next(files.folder.glob("*/2-2")).with_name("2-3")
    strange = next_one.with_name("9-0")
    for folder in (next_one, strange):
        folder.mkdir()
    with files.database.read() as session:
        assert remove_unused(files.folder, session) == [strange]
    assert next_one.exists(), "a merge moves its files to their place before it notes them"
    next_one.rmdir()
    assert check_integrity(files.database, engine.index).ok


def test_the_first_merge_builds_the_first_files(files: IndexFiles) -> None:
    fill(files, 4)
    made = merge(files, "default")
    assert made is not None
    assert (made["generation"], made["state"]) == (2, "live")


def test_when_a_merge_is_due(files: IndexFiles) -> None:
    def due(at_least: int) -> list[str]:
        with files.database.read() as session:
            return [collection.name for collection in due_merges(session, at_least)]

    fill(files, 40)
    with files.database.read() as session:
        chunks = changed_chunks(session, get_collection(session, "default"))
    assert chunks >= 40
    assert (due(chunks), due(chunks + 1), due(0)) == (["default"], [], [])
    merge(files, "default")
    assert due(1) == []
    put(files, "one", "One more.")
    assert due(1) == [], "one of forty is not worth writing all again"
    for n in range(8):
        put(files, f"more {n}", f"More of it: {n}.")
    assert due(9) == ["default"]
    assert due(10) == []


def test_deletions_alone_make_a_merge_due(files: IndexFiles) -> None:
    def due(at_least: int) -> list[str]:
        with files.database.read() as session:
            return [collection.name for collection in due_merges(session, at_least)]

    def deleted() -> int:
        with files.database.read() as session:
            return deleted_chunks(session, get_collection(session, "default"))

    fill(files, 20)
    with files.database.read() as session:
        (chunks,) = {document.chunk_count for document in session.scalars(select(Document))}
    remove(files, "d0")
    assert deleted() == 0, "there are no files that could hold it"
    merge(files, "default")
    assert (deleted(), due(1)) == (0, [])
    put(files, "passing", "It comes and goes between two merges.")
    remove(files, "passing")
    assert deleted() == 0, "it never was in the files"
    remove(files, "d1")
    assert (deleted(), due(1)) == (chunks, []), "one of nineteen is not worth writing all again"
    put(files, "d2", "Changed before it is deleted.")
    remove(files, "d2")
    assert deleted() == chunks + 1, "a receipt speaks of the last version"
    for n in range(3, 10):
        remove(files, f"d{n}")
    count = deleted()
    assert count == 8 * chunks + 1
    assert (due(count), due(count + 1)) == (["default"], [])
    made = merge(files, "default")
    assert made is not None
    assert (made["report"]["documents"], made["report"]["chunks"]) == (10, 10 * chunks)
    assert (deleted(), due(1)) == (0, [])


def test_another_language_is_searched_at_once_and_written_by_the_next_merge(files: IndexFiles) -> None:
    put(files, "a", "Die Wagen stehen im Depot.")
    build(files, "default", RecallTarget(), live=True)
    engine = reader(files)
    assert found(engine, "Depots Wagens", mode="lexical") == ["a"], "an English stemmer knows the plural s"
    with files.database.write() as session:
        set_language(session, get_collection(session, "default"), "none")
    assert found(engine, "Depots Wagens", mode="lexical") == []
    assert isinstance(view(engine), CollectionView)
    with files.database.read() as session:
        assert [collection.name for collection in due_merges(session, 10**6)] == ["default"]
    merge(files, "default")
    assert isinstance(view(engine), LayeredView)
    assert (found(engine, "Depots", mode="lexical"), found(engine, "depot", mode="lexical")) == ([], ["a"])


def test_a_due_merge_is_a_job_of_the_queue(files: IndexFiles, tmp_path: Path) -> None:
    fill(files, 4)
    runner = JobRunner(fake_ingestion(files.database), Spool(tmp_path / "spool", 2**20), no_source, files)
    queue = JobQueue(runner, f"sqlite:///{tmp_path / 'jobs.db'}", merge_chunks=4)
    queue.start()
    try:
        wait_for(lambda: bool(rows(files)) and rows(files)[0]["state"] == "live")
        (job,) = jobs(files)
        assert finished(files.database, job) == ["succeeded"]
    finally:
        queue.stop()
    counts = show(files.database, job)["counts"]
    assert (counts["scanned"], counts["unchanged"]) == (4, 4)
    assert isinstance(view(reader(files)), LayeredView)


def no_source(source: Source) -> Any:
    raise AssertionError("no job here has a source")


def jobs(files: IndexFiles) -> list[str]:
    with files.database.read() as session:
        return list(session.scalars(select(Job.id)))


def test_readers_see_every_document_once_through_promotions_and_merges(files: IndexFiles) -> None:
    """Two writers and a builder change everything while searches go on; no search errs, misses or doubles a document."""
    fill(files, 12)
    stop = threading.Event()
    wrong: list[object] = []

    def write(first: int) -> None:
        try:
            for round_ in range(25):
                for n in range(first, 12, 2):
                    put(files, f"d{n}", f"# Rule {n}\n\nRule {n} speaks of wagon {n * 7}, round {round_}.")
                if stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            wrong.append(error)

    def read() -> None:
        engine = reader(files)
        try:
            while not stop.is_set():
                for mode in MODES:
                    ids = found(engine, "rule wagon", mode=mode, top_k=200)
                    per_document = {id_: ids.count(id_) for id_ in ids}
                    if set(per_document) != {f"d{n}" for n in range(12)} or max(per_document.values()) > 2:
                        wrong.append((mode, per_document))
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 1)]
    threads += [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for round_ in range(8):
        if round_ % 2:
            merge(files, "default")
        else:
            build(files, "default", RecallTarget(), live=True)
        if round_ == 5:
            switch(files, rollback)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    engine = reader(files)
    same_answers(engine, fake_engine(files.database))
    assert check_integrity(files.database, engine.index).ok


def test_a_number_that_was_dropped_is_not_given_again(files: IndexFiles) -> None:
    first = build(files, "default", RecallTarget())["generation"]
    with files.database.write() as session:
        drop(session, get_collection(session, "default"), first)
    assert build(files, "default", RecallTarget())["generation"] == first + 1
