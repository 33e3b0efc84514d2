"""Syncs: counts that add up, moves, prunes, failures, crashes; on both databases, with a source that tests command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import fake_engine, fake_ingestion
from sqlalchemy import func, select

from infra.database import Database
from infra.tables import ChunkRow, Document, DocumentVersion, Job, Source, SourceEntry
from ingest.collections import get_collection
from ingest.commit import delete_document, find_document
from ingest.document import Attributes, DocumentInput
from ingest.elements import ParsedDocument
from ingest.jobs import COUNTS, describe, submit_for
from ingest.pipeline import ingest_batch
from ingest.runner import JobRunner, Stopped
from ingest.source import SourceSettings, create_source, delete_source, settings_of, update_source
from ingest.sources.directory import DirectoryReader
from ingest.sources.entry import Entry, Fetched, FetchFailed, ListingFailed
from ingest.spool import Spool
from ingest.uploads import cancel_job
from retrieval.integrity import check_integrity


@dataclass
class Shelf:
    """A source in memory: ``texts`` by key. ``fetched`` are the keys that were read."""

    texts: dict[str, str] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    marks: bool = True
    breaks_after: int | None = None
    failing: dict[str, FetchFailed] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    vanished: set[str] = field(default_factory=set)

    def entries(self) -> Iterator[Entry]:
        for number, (key, text) in enumerate(self.texts.items()):
            if number == self.breaks_after:
                raise ListingFailed("The shelf fell over.")
            yield Entry(key, mark=text if self.marks else None, identity=self.identities.get(key))

    def fetch(self, entry: Entry, folder: Path, validator: str | None) -> Fetched | None:
        self.fetched.append(entry.key)
        if entry.key in self.failing:
            raise self.failing[entry.key]
        if entry.key in self.vanished:
            raise FetchFailed("gone", "It is gone.", gone=True)
        if validator == self.texts[entry.key]:
            return None
        path = folder / f"fetched-{entry.key}"
        path.write_text(self.texts[entry.key])
        return Fetched(
            path, temporary=True, filename=entry.key, content_type="text/plain", validator=self.texts[entry.key]
        )

    def close(self) -> None: ...


@dataclass
class House:
    """A database, a runner, and sources by uri."""

    database: Database
    runner: JobRunner
    shelves: dict[str, Shelf]
    sources: dict[str, str]

    def add(self, uri: str, shelf: Shelf, caller: str | None = None, **settings: Any) -> Shelf:
        with self.database.write() as session:
            made = SourceSettings(kind="directory", uri=f"/{uri}", **settings)
            self.sources[uri] = create_source(session, get_collection(session, "default"), made, caller).id
        self.shelves[uri] = shelf
        return shelf

    def submit(self, uri: str) -> str:
        with self.database.write() as session:
            source = session.get_one(Source, self.sources[uri])
            return submit_for(session, "sync", get_collection(session, "default"), None, source).id

    def sync(self, uri: str) -> dict[str, Any]:
        job_id = self.submit(uri)
        self.runner.run(job_id)
        return self.job(job_id)

    def job(self, job_id: str) -> dict[str, Any]:
        with self.database.read() as session:
            told = describe(session.get_one(Job, job_id))
        counts = told["counts"]
        if told["finished_at"] and told["status"] != "cancelled":
            assert counts["scanned"] == sum(counts[name] for name in COUNTS if name != "scanned"), counts
        assert not list(self.runner.spool.folder.glob("*")), "fetched files were left behind"
        return told

    def documents(self) -> dict[str, int]:
        """External ids and versions of what is ready."""
        with self.database.read() as session:
            rows = session.scalars(select(Document).where(Document.version > 0).order_by(Document.external_id))
            return {row.external_id: row.version for row in rows}

    def document_id(self, external_id: str) -> str:
        with self.database.read() as session:
            found = find_document(session, get_collection(session, "default").id, external_id)
            assert found is not None
            return found.id


def counts(**given: int) -> dict[str, int]:
    return dict.fromkeys(COUNTS, 0) | given


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    spool = Spool(tmp_path / "spool")
    spool.folder.mkdir()
    shelves: dict[str, Shelf] = {}
    runner = JobRunner(fake_ingestion(database), spool, lambda source: shelves[source.uri.strip("/")])
    return House(database, runner, shelves, {})


def shelf(**texts: str) -> Shelf:
    return Shelf({f"{name}.txt": text for name, text in texts.items()})


def test_first_sync_then_nothing_then_changes(house: House) -> None:
    source = house.add("s", shelf(a="First text.", b="Second text.", c="Third text."), prune=True)
    assert house.sync("s")["counts"] == counts(scanned=3, new=3)
    assert house.documents() == {"a.txt": 1, "b.txt": 1, "c.txt": 1}
    source.fetched.clear()
    assert house.sync("s")["counts"] == counts(scanned=3, unchanged=3)
    assert source.fetched == []
    source.texts |= {"b.txt": "Second text, edited.", "d.txt": "Fourth text."}
    del source.texts["c.txt"]
    job = house.sync("s")
    assert job["counts"] == counts(scanned=4, new=1, modified=1, unchanged=1, deleted=1)
    assert (job["status"], job["error"], job["phase"]) == ("succeeded", None, None)
    assert source.fetched == ["b.txt", "d.txt"]
    assert house.documents() == {"a.txt": 1, "b.txt": 2, "d.txt": 1}


def test_without_marks_the_validator_tells(house: House) -> None:
    source = house.add("s", replace(shelf(a="First text.", b="Second text."), marks=False))
    house.sync("s")
    source.texts["b.txt"] = "Second text, edited."
    assert house.sync("s")["counts"] == counts(scanned=2, modified=1, unchanged=1)
    assert house.documents() == {"a.txt": 1, "b.txt": 2}


def test_a_touched_file_is_unchanged_by_its_content(house: House) -> None:
    class Touched(Shelf):
        def entries(self) -> Iterator[Entry]:
            for entry in super().entries():
                yield replace(entry, mark="another time")

        def fetch(self, entry: Entry, folder: Path, validator: str | None) -> Fetched | None:
            return super().fetch(entry, folder, None)

    source = house.add("s", shelf(a="First text."))
    house.sync("s")
    house.shelves["s"] = Touched(source.texts)
    assert house.sync("s")["counts"] == counts(scanned=1, unchanged=1)
    assert house.documents() == {"a.txt": 1}


def test_what_is_gone_stays_unless_pruned(house: House) -> None:
    source = house.add("s", shelf(a="First text.", b="Second text."))
    house.sync("s")
    del source.texts["b.txt"]
    assert house.sync("s")["counts"] == counts(scanned=1, unchanged=1)
    assert set(house.documents()) == {"a.txt", "b.txt"}
    with house.database.write() as session:
        row = session.get_one(Source, house.sources["s"])
        update_source(session, row, replace(settings_of(row), prune=True))
    assert house.sync("s")["counts"] == counts(scanned=2, unchanged=1, deleted=1)
    assert set(house.documents()) == {"a.txt"}


@pytest.mark.parametrize("after", [0, 1])
def test_a_listing_that_breaks_deletes_nothing(house: House, after: int) -> None:
    source = house.add("s", shelf(a="First text.", b="Second text."), prune=True)
    house.sync("s")
    source.texts["a.txt"] = "First text, edited."
    source.breaks_after = after
    job = house.sync("s")
    assert job["error"] == "The source could not be listed whole, so nothing was deleted: The shelf fell over."
    assert job["counts"] == (counts(scanned=1, modified=1) if after else counts())
    assert job["status"] == ("partial" if after else "failed")
    assert set(house.documents()) == {"a.txt", "b.txt"}


def test_a_source_that_is_suddenly_empty_is_not_believed(house: House) -> None:
    source = house.add("s", Shelf({f"{n}.txt": f"Text number {n}." for n in range(10)}), prune=True)
    house.sync("s")
    texts, source.texts = source.texts, {}
    job = house.sync("s")
    assert job["status"] == "failed"
    assert "lists nothing at all" in job["error"]
    assert len(house.documents()) == 10
    source.texts = dict(list(texts.items())[:1])
    assert house.sync("s")["counts"]["deleted"] == 9
    with house.database.write() as session:
        row = session.get_one(Source, house.sources["s"])
        update_source(session, row, replace(settings_of(row), options={"allow_empty": True}))
    source.texts = {}
    assert house.sync("s")["counts"] == counts(scanned=1, deleted=1)


def test_a_moved_document_keeps_its_identity(house: House) -> None:
    source = house.add(
        "s", replace(shelf(a="First text.", b="Second text."), identities={"a.txt": "inode 7"}), prune=True
    )
    house.sync("s")
    before = house.document_id("a.txt")
    source.texts["moved.txt"] = source.texts.pop("a.txt")
    source.identities = {"moved.txt": "inode 7"}
    assert house.sync("s")["counts"] == counts(scanned=2, modified=1, unchanged=1)
    assert house.document_id("moved.txt") == before
    assert house.documents() == {"b.txt": 1, "moved.txt": 2}
    assert house.sync("s")["counts"] == counts(scanned=2, unchanged=2)


def test_an_identity_that_is_not_unique_moves_nothing(house: House) -> None:
    source = house.add(
        "s", replace(shelf(a="Same text.", b="Same text."), identities=dict.fromkeys(("a.txt", "b.txt"), "blob"))
    )
    house.sync("s")
    ids = {house.document_id("a.txt"), house.document_id("b.txt")}
    source.texts = {"c.txt": "Same text.", "d.txt": "Same text."}
    source.identities = dict.fromkeys(("c.txt", "d.txt"), "blob")
    assert house.sync("s")["counts"] == counts(scanned=2, new=2)
    assert {house.document_id("c.txt"), house.document_id("d.txt")}.isdisjoint(ids)


def test_a_move_onto_a_document_that_is_there_is_no_move(house: House) -> None:
    source = house.add("s", replace(shelf(a="First text."), identities={"a.txt": "inode 7"}), prune=True)
    house.sync("s")
    ingest_batch(house.runner.ingestion, "default", [DocumentInput("b.txt", text="Uploaded text.")])
    source.texts, source.identities = {"b.txt": "First text."}, {"b.txt": "inode 7"}
    assert house.sync("s")["counts"] == counts(scanned=2, modified=1, deleted=1)
    assert house.documents() == {"b.txt": 2}


def test_failures_cost_themselves_and_are_tried_again(house: House) -> None:
    source = house.add("s", shelf(a="First text.", bad="BROKEN", c="Third text."), prune=True)
    source.failing["c.txt"] = FetchFailed("http_500", "The server said 500.")
    job = house.sync("s")
    assert job["counts"] == counts(scanned=3, new=1, failed=2)
    assert job["status"] == "partial"
    assert {(f["external_id"], f["code"]) for f in job["failures"]} == {("bad.txt", "malformed"), ("c.txt", "http_500")}
    source.texts["bad.txt"] = "Mended text."
    source.failing.clear()
    assert house.sync("s")["counts"] == counts(scanned=3, new=2, unchanged=1)


def test_a_version_stays_when_the_next_cannot_be_read(house: House) -> None:
    source = house.add("s", shelf(a="First text."))
    house.sync("s")
    source.texts["a.txt"] = "BROKEN"
    assert house.sync("s")["counts"] == counts(scanned=1, failed=1)
    assert house.documents() == {"a.txt": 1}


def test_a_failed_document_is_pruned_with_its_file(house: House) -> None:
    source = house.add("s", shelf(a="First text.", bad="BROKEN"), prune=True)
    house.sync("s")
    del source.texts["bad.txt"]
    assert house.sync("s")["counts"] == counts(scanned=2, unchanged=1, deleted=1)
    with house.database.read() as session:
        assert session.scalars(select(Document.external_id)).all() == ["a.txt"]


def test_what_may_pass_by_itself_is_tried_again_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.fetch._PATIENCE_S", (0.0, 0.0))
    source = house.add("s", shelf(a="First text."))
    source.failing["a.txt"] = FetchFailed("timeout", "No answer in time.", transient=True)
    job = house.sync("s")
    assert job["failures"] == [{"external_id": "a.txt", "code": "timeout", "detail": "No answer in time."}]
    assert source.fetched == ["a.txt"] * 3


def test_a_file_that_vanishes_between_listing_and_reading(house: House) -> None:
    source = house.add("s", shelf(a="First text.", b="Second text."), prune=True)
    house.sync("s")
    source.texts |= {"b.txt": "Second text, edited.", "c.txt": "Third text."}
    source.vanished = {"b.txt", "c.txt"}
    assert house.sync("s")["counts"] == counts(scanned=2, unchanged=1, deleted=1)
    assert house.documents() == {"a.txt": 1}


def test_a_document_that_was_deleted_comes_back(house: House) -> None:
    house.add("s", shelf(a="First text.", b="Second text."))
    house.sync("s")
    with house.database.write() as session:
        delete_document(session, get_collection(session, "default"), "a.txt")
    assert house.sync("s")["counts"] == counts(scanned=2, new=1, unchanged=1)


def test_new_groups_and_metadata_reach_the_documents(house: House) -> None:
    house.add("s", shelf(a="First text."), metadata={"team": "red"})
    house.sync("s")
    with house.database.write() as session:
        row = session.get_one(Source, house.sources["s"])
        update_source(session, row, replace(settings_of(row), allowed_groups=["hr"], metadata={"team": "blue"}))
    assert house.sync("s")["counts"] == counts(scanned=1, modified=1)
    with house.database.read() as session:
        stored = find_document(session, get_collection(session, "default").id, "a.txt")
        assert stored is not None
        assert (stored.allowed_groups, stored.meta) == (["hr"], {"team": "blue"})


def test_two_sources_do_not_share_a_document(house: House) -> None:
    house.add("s", shelf(a="First text."))
    other = house.add("t", shelf(a="Other text."), prune=True)
    house.sync("s")
    job = house.sync("t")
    assert job["failures"][0]["code"] == "duplicate_external_id"
    other.texts.clear()
    assert house.sync("t")["counts"] == counts()
    assert house.documents() == {"a.txt": 1}


def test_taking_over_makes_the_later_source_the_owner(house: House) -> None:
    first = house.add("s", shelf(a="First text."), prune=True)
    house.add("t", shelf(a="Other text."))
    house.sync("s")
    job_id = house.submit("t")
    with house.database.write() as session:
        session.get_one(Job, job_id).options = {"take_over": True}
    house.runner.run(job_id)
    assert house.job(job_id)["counts"] == counts(scanned=1, modified=1)
    first.texts.clear()
    assert house.sync("s")["counts"] == counts()  # it is not the first source's to delete any more
    assert house.documents() == {"a.txt": 2}


def test_a_callers_source_does_not_replace_a_restricted_document(house: House) -> None:
    secret = DocumentInput("a.txt", text="Secret text.", attributes=Attributes(allowed_groups=["hr"]))
    ingest_batch(house.runner.ingestion, "default", [secret, DocumentInput("b.txt", text="Open text.")])
    house.add("s", shelf(a="First text.", b="Second text."), caller="key_1")
    job = house.sync("s")
    assert job["counts"] == counts(scanned=2, modified=1, failed=1)
    assert house.documents() == {"a.txt": 1, "b.txt": 2}


def test_names_that_cannot_be_ids_fail_by_name(house: House) -> None:
    names = {
        "x" * 1100: "First text.",
        "bad\nname": "Second text.",
        "ok.txt": "Third text.",
        "\udcff.txt": "Fourth text.",
    }
    house.add("s", Shelf(names))
    job = house.sync("s")
    assert job["counts"] == counts(scanned=4, new=1, failed=3)
    assert {f["code"] for f in job["failures"]} == {"invalid_external_id"}


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
