"""Syncs: counts that add up, moves, prunes, failures; on both databases, with a source that tests command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from shelves import House, Shelf, counts, shelf
from sqlalchemy import select

from infra.tables import Document, Job, Source
from ingest.collections import get_collection
from ingest.commit import delete_document, find_document
from ingest.document import Attributes, DocumentInput
from ingest.pipeline import ingest_batch
from ingest.source import settings_of, update_source
from ingest.sources.entry import Entry, Fetched, FetchFailed


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
