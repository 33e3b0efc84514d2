"""A source that tests command, and a database that it is synced into: the fixture ``house``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes import fake_ingestion
from sqlalchemy import select

from infra.database import Database
from infra.tables import Document, Job, Source
from ingest.collections import get_collection
from ingest.commit import find_document
from ingest.jobs import COUNTS, describe, submit_for
from ingest.runner import JobRunner
from ingest.source import SourceSettings, create_source
from ingest.sources.entry import Entry, Fetched, FetchFailed, ListingFailed
from ingest.spool import Spool


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
