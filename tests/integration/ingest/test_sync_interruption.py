"""Syncs that die, are stopped or cancelled, meet files that change meanwhile, or run out of room; on both databases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import fake_engine
from shelves import House, Shelf, counts, shelf
from sqlalchemy import func, select

from infra.tables import ChunkRow, DocumentVersion, Job, Source, SourceEntry
from ingest.collections import get_collection
from ingest.document import DocumentInput
from ingest.elements import ParsedDocument
from ingest.pipeline import ingest_batch
from ingest.runner import JobRunner, Stopped
from ingest.source import delete_source
from ingest.sources.directory import DirectoryReader
from ingest.sources.entry import Entry, Fetched, FetchFailed
from ingest.uploads import cancel_job
from retrieval.integrity import check_integrity


class Crash(BaseException):
    """What no handler catches, as a kill."""


@pytest.mark.parametrize("point", ["note_listed", "counts_of", "moved", "next_to_fetch", "settle", "gone_entries"])
def test_a_sync_that_dies_goes_on(house: House, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """It dies at the n-th call of one step, for every n there is; at the end all is as if it had not."""
    texts = {f"{n:02}.txt": f"Text number {n}." for n in range(40)}
    source = house.add("s", Shelf(dict(texts), {key: key for key in texts}), prune=True)
    house.sync("s")
    for n in range(0, 40, 4):
        source.texts[f"{n:02}.txt"] += " Edited."
    for n in range(1, 40, 8):
        del source.texts[f"{n:02}.txt"]
    source.texts["moved.txt"] = source.texts.pop("03.txt")
    source.identities["moved.txt"] = "03.txt"
    source.texts["new.txt"] = "New text."
    moved_id = house.document_id("03.txt")
    from ingest import entries

    real = getattr(entries, point)
    job_id = house.submit("s")
    for survived in (0, 1, 2, 5, 20):
        calls = 0

        def dying(*arguments: Any, survived: int = survived, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > survived:
                raise Crash
            return real(*arguments, **named)

        monkeypatch.setattr(f"ingest.entries.{point}", dying)
        try:
            house.runner.run(job_id)
        except Crash:
            with house.database.write() as session:
                session.get_one(Job, job_id).owner = None  # as its process is dead
    monkeypatch.setattr(f"ingest.entries.{point}", real)
    house.runner.run(job_id)
    job = house.job(job_id)
    assert job["counts"] == counts(scanned=41, new=1, modified=11, unchanged=24, deleted=5)
    expected = {key: 2 if "Edited" in text else 1 for key, text in source.texts.items()} | {"moved.txt": 2}
    assert house.documents() == expected
    assert house.document_id("moved.txt") == moved_id
    with house.database.read() as session:
        assert session.scalar(select(func.count()).select_from(SourceEntry)) == 36
        assert session.scalar(select(func.count()).select_from(DocumentVersion)) == sum(expected.values())
        assert session.scalar(select(func.count()).select_from(ChunkRow)) == len(expected)
    engine = fake_engine(house.database)
    assert check_integrity(house.database, engine.index).ok


@pytest.mark.parametrize("between", [[], ["by-and-by.txt"]])
def test_a_file_that_is_renamed_while_its_sync_is_dead(
    house: House, monkeypatch: pytest.MonkeyPatch, between: list[str]
) -> None:
    """What the dead attempt had listed tells nothing of what is there now, even under names that were never stored."""
    source = house.add("s", replace(shelf(a="First text.", b="Second text."), identities={"a.txt": "7"}), prune=True)
    house.sync("s")
    before = house.document_id("a.txt")
    job_id = house.submit("s")
    with monkeypatch.context() as dying:
        dying.setattr("ingest.entries.counts_of", lambda *_: (_ for _ in ()).throw(Crash))
        for name in [*between, "a.txt"][:1]:  # the dead attempt lists the old name, or one in between
            source.texts[name] = source.texts.pop("a.txt")
            source.identities = {name: "7"}
            with pytest.raises(Crash):
                house.runner.run(job_id)
    with house.database.write() as session:
        session.get_one(Job, job_id).owner = None
    source.texts["moved.txt"] = source.texts.pop([*between, "a.txt"][0])
    source.identities = {"moved.txt": "7"}
    house.runner.run(job_id)
    assert house.job(job_id)["counts"] == counts(scanned=2, modified=1, unchanged=1)
    assert house.documents() == {"b.txt": 1, "moved.txt": 2}
    assert house.document_id("moved.txt") == before


def test_a_file_that_changes_while_it_is_read_is_read_again(house: House, tmp_path: Path) -> None:
    file = tmp_path / "files" / "a.txt"
    file.parent.mkdir()
    file.write_text("First text.")
    house.add("s", shelf())
    house.runner.open_source = lambda source: DirectoryReader(file.parent)
    plain = house.runner.ingestion.parser

    def overtaken(path: Path, filename: str, content_type: str | None = None) -> ParsedDocument:
        file.write_text("Second text, as it was parsed.")
        return plain(path, filename, content_type)

    house.runner.ingestion = replace(house.runner.ingestion, parser=overtaken)
    job = house.sync("s")
    assert (job["counts"], job["failures"][0]["code"]) == (counts(scanned=1, failed=1), "changed_while_read")
    assert house.sync("s")["counts"] == counts(scanned=1, new=1)


def test_stopping_puts_it_back_and_another_process_goes_on(house: House) -> None:
    source = house.add("s", Shelf({f"{n:02}.txt": f"Text number {n}." for n in range(40)}))
    job_id = house.submit("s")
    first = house.runner
    fetch = source.fetch

    def stopping(entry: Entry, folder: Path, validator: str | None) -> Fetched | None:
        if len(source.fetched) == 20:
            first.stop()
        return fetch(entry, folder, validator)

    source.fetch = stopping  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        first.run(job_id)
    job = house.job(job_id)
    assert (job["status"], job["counts"]["new"]) == ("queued", 32)
    house.runner = JobRunner(first.ingestion, first.spool, first.open_source)
    house.runner.run(job_id)
    assert house.job(job_id)["counts"] == counts(scanned=40, new=40)
    assert len(source.fetched) == 40


def test_a_cancelled_sync_stops_and_keeps_what_is_done(house: House) -> None:
    source = house.add("s", Shelf({f"{n:02}.txt": f"Text number {n}." for n in range(40)}))
    job_id = house.submit("s")
    fetch = source.fetch

    def cancelling(entry: Entry, folder: Path, validator: str | None) -> Fetched | None:
        if len(source.fetched) == 20:
            with house.database.write() as session:
                cancel_job(session, job_id, None)
        return fetch(entry, folder, validator)

    source.fetch = cancelling  # type: ignore[method-assign]
    house.runner.run(job_id)
    assert house.job(job_id)["status"] == "cancelled"
    assert len(house.documents()) == 16
    source.fetch = fetch  # type: ignore[method-assign]
    assert house.sync("s")["counts"] == counts(scanned=40, new=24, unchanged=16)


@pytest.mark.parametrize("documents", [False, True])
def test_removing_a_source(house: House, documents: bool) -> None:
    house.add("s", shelf(a="First text.", b="Second text."))
    house.sync("s")
    ingest_batch(house.runner.ingestion, "default", [DocumentInput("c.txt", text="Uploaded text.")])
    with house.database.write() as session:
        collection = get_collection(session, "default")
        deleted = delete_source(session, collection, session.get_one(Source, house.sources["s"]), documents=documents)
    assert deleted == (2 if documents else 0)
    assert set(house.documents()) == ({"c.txt"} if documents else {"a.txt", "b.txt", "c.txt"})
    with house.database.read() as session:
        assert session.scalar(select(func.count()).select_from(SourceEntry)) == 0


def test_many_files_in_many_batches(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.sync.LISTED_AT_ONCE", 7)
    monkeypatch.setattr("ingest.sync.PRUNED_AT_ONCE", 3)
    source = house.add("s", Shelf({f"{n}.txt": f"Text number {n}." for n in range(50)}), prune=True)
    assert house.sync("s")["counts"] == counts(scanned=50, new=50)
    source.texts = {key: text for key, text in source.texts.items() if "3" not in key}
    assert house.sync("s")["counts"] == counts(scanned=50, unchanged=36, deleted=14)
    assert house.documents() == dict.fromkeys(source.texts, 1)


def test_a_batch_is_bounded_by_size(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.sync.BATCH_BYTES", 20)
    sizes: list[int] = []
    from ingest import sync as sync_module

    def noted(ingestion: Any, collection: str, items: Any, on_commit: Any) -> Any:
        sizes.append(len(items))
        return ingest_batch(ingestion, collection, items, on_commit)

    monkeypatch.setattr(sync_module, "ingest_batch", noted)
    house.add("s", Shelf({f"{n}.txt": f"Text number {n}." for n in range(5)}))
    assert house.sync("s")["counts"] == counts(scanned=5, new=5)
    assert sizes == [2, 2, 1]


def test_a_full_disk_is_not_a_documents_failure(house: House) -> None:
    import errno

    source = house.add("s", shelf(a="First text."))
    full = FetchFailed("store_failed", "It could not be written.", transient=True)
    full.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    source.failing["a.txt"] = full
    job_id = house.submit("s")
    with pytest.raises(OSError, match="No space left"):
        house.runner.run(job_id)
    source.failing.clear()
    house.runner.run(job_id)
    assert house.job(job_id)["counts"] == counts(scanned=1, new=1)
