"""A sync: bring a collection to what a source has now, and no further than the source could be read.

    list -> move -> fetch and store -> prune

A job's ``scanned`` is what was listed and what was found to be gone: always the sum of the other counts, once the sync ends.

Every step is a row in the database before the next begins, so a sync that is killed goes on from there: it lists again, and
what it has settled already is not read twice. Nothing is deleted unless the listing came to its end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy.orm import Session

from infra.clock import now
from infra.tables import Change, Document, Job, Source, SourceEntry
from ingest import entries
from ingest.collections import get_collection
from ingest.commit import commit_failure, delete_document, find_document
from ingest.document import DocumentInput, Ingested, Outcome
from ingest.fetch import attributes_of, document_input, fetch_entry
from ingest.jobs import add_counts, check_mine
from ingest.lanes import Lanes
from ingest.pipeline import Ingestion, ingest_batch
from ingest.sources.entry import Entry, FetchFailed, ListingFailed, SourceReader
from ingest.uploads import supersede

LISTED_AT_ONCE = 500
BATCH_BYTES = 8 * 2**20
PRUNED_AT_ONCE = 100
# A source that held this much and now lists nothing is more likely not mounted than emptied.
_NOT_EMPTIED = 10

log = structlog.get_logger()


@dataclass(slots=True)
class Sync:
    """One sync of one source, on behalf of a job that ``owner`` has claimed.

    ``folder`` takes fetched files until they are stored; ``check_stop`` is called between batches and may raise.
    """

    ingestion: Ingestion
    reader: SourceReader
    source_id: str
    collection: str
    job_id: str
    owner: str
    folder: Path
    check_stop: Callable[[], None]

    def run(self) -> str | None:
        """Do it; a sentence if the source could not be read whole, else ``None``."""
        try:
            return self._run()
        finally:
            self.reader.close()

    def _run(self) -> str | None:
        source, sync, first = self._begin()
        error = self._list(sync, first)
        with self.ingestion.database.write() as session:
            job = check_mine(session, self.job_id, self.owner)
            if error is None:
                entries.fetch_again_what_is_missing(session, source, sync)
            self._recount(session, job, sync)
        while error is None and self._move(source, sync):
            self.check_stop()
        self._phase("storing")
        with Lanes(self.ingestion.pace.batches) as lanes:
            last: str | None = None
            while (last := self._store(source, sync, last or "", lanes)) is not None:
                self.check_stop()
        if error is None and source.prune:
            error = self._prune(source, sync)
        with self.ingestion.database.write() as session:
            check_mine(session, self.job_id, self.owner)
            if (row := session.get(Source, self.source_id)) is not None:
                row.synced_at = now() if error is None else row.synced_at
        return error

    def _begin(self) -> tuple[Source, int, int]:
        """The source, this attempt's number, and that of the job's first attempt."""
        with self.ingestion.database.write() as session:
            job = check_mine(session, self.job_id, self.owner)
            source = session.get_one(Source, self.source_id)
            # Each attempt has a number of its own, so that what an earlier one saw and is gone since counts as gone.
            source.syncs += 1
            job.options = {"sync": source.syncs, **job.options}
            job.phase = "listing"
            return source, source.syncs, int(job.options["sync"])

    def _phase(self, phase: str) -> None:
        with self.ingestion.database.write() as session:
            check_mine(session, self.job_id, self.owner).phase = phase

    def _list(self, sync: int, first: int) -> str | None:
        part: list[Entry] = []
        error: str | None = None
        try:
            for entry in self.reader.entries():
                part.append(entry)
                if len(part) == LISTED_AT_ONCE:
                    self._note_listed(part, sync, first)
                    part = []
                    self.check_stop()
        except ListingFailed as failure:
            log.warning("sync.listing_failed", source=self.source_id, detail=failure.detail)
            error = f"The source could not be listed whole, so nothing was deleted: {failure.detail}"
        self._note_listed(part, sync, first)
        return error

    def _note_listed(self, part: Sequence[Entry], sync: int, first: int) -> None:
        with self.ingestion.database.write() as session:
            job = check_mine(session, self.job_id, self.owner)
            entries.note_listed(session, self.source_id, sync, first, part)
            job.counts = {**job.counts, "scanned": job.counts["scanned"] + len(part)}

    def _recount(self, session: Session, job: Job, sync: int) -> None:
        counted = entries.counts_of(session, self.source_id, sync)
        job.counts = {**job.counts, **counted, "scanned": counted["scanned"] + job.counts["deleted"]}

    def _move(self, source: Source, sync: int) -> bool:
        """Give documents that were moved or renamed their new ids; whether there may be more of them."""
        with self.ingestion.database.write() as session:
            check_mine(session, self.job_id, self.owner)
            collection = get_collection(session, self.collection)
            pairs = entries.moved(session, source.id, sync, PRUNED_AT_ONCE)
            for old, new in pairs:
                document = find_document(session, collection.id, old.key)
                taken = find_document(session, collection.id, new.key)
                # A stand-in for a name that can be no id is no name for a document either.
                named = new.listed["key"] == new.key
                if document is not None and taken is None and named and entries.was_stored(old):
                    document.external_id = new.key
                    session.add(
                        Change(collection_id=collection.id, document_id=document.id, kind="put", created_at=now())
                    )
                    new.listed = {**new.listed, "stored": True}
                else:
                    new.identity = None  # so that this pair is not found again
                    continue
                session.delete(old)
            return bool(pairs)

    def _store(self, source: Source, sync: int, after: str, lanes: Lanes) -> str | None:
        """Fetch the batch that follows the entry ``after`` and have it stored; its last entry, ``None`` if there was no batch."""
        with self.ingestion.database.read() as session:
            rows = entries.next_to_fetch(session, source.id, sync, self.ingestion.pace.documents, after)
            job = session.get_one(Job, self.job_id)
            takes_over = bool(job.options.get("take_over"))
            keys = [row.key for row in rows]
            held = set() if takes_over else entries.held_elsewhere(session, source, keys)
            if source.caller is not None:
                held |= entries.protected(session, source, [row.key for row in rows if not entries.was_stored(row)])
        if not rows:
            return None
        inputs: list[DocumentInput] = []
        validators: dict[str, str | None] = {}
        decided: list[Ingested] = []
        gone: list[str] = []
        size = taken = 0
        with contextlib.ExitStack() as temporary:
            for row in rows:
                if size > BATCH_BYTES:
                    break  # the rest comes in the next batch, so that memory does not grow with the files
                taken += 1
                try:
                    fetched = fetch_entry(self.reader, row, held, self.folder, self.check_stop)
                except FetchFailed as failure:
                    if failure.gone:
                        gone.append(row.key)
                    else:
                        decided.append(Ingested(row.key, Outcome.FAILED, code=failure.code, detail=failure.detail))
                    continue
                if fetched is None:
                    decided.append(Ingested(row.key, Outcome.UNCHANGED))
                    validators[row.key] = row.validator
                    continue
                if fetched.temporary:
                    temporary.callback(fetched.path.unlink, missing_ok=True)
                size += fetched.path.stat().st_size if fetched.path.is_file() else 0
                validators[row.key] = fetched.validator
                inputs.append(document_input(source, row.key, entries.entry_of(row), fetched))
            files = temporary.pop_all()

        def store() -> None:
            with files:
                self._commit(source, rows[:taken], inputs, decided, gone, validators)

        try:
            lanes.run(store)
        except BaseException:
            files.close()  # if it was not begun
            raise
        return rows[taken - 1].key

    def _commit(
        self,
        source: Source,
        rows: Sequence[SourceEntry],
        inputs: Sequence[DocumentInput],
        decided: Sequence[Ingested],
        gone: Sequence[str],
        validators: dict[str, str | None],
    ) -> None:
        def note(session: Session, results: Sequence[Ingested]) -> None:
            job = check_mine(session, self.job_id, self.owner)
            counts: dict[str, int] = {}
            failures = []
            mine = {row.key: session.get_one(SourceEntry, (source.id, row.key)) for row in rows}
            for result in (*decided, *results):
                state = result.outcome.value
                entries.settle(mine[result.external_id], state, validators.get(result.external_id))
                counts[state] = counts.get(state, 0) + 1
                if result.outcome is Outcome.FAILED:
                    failures.append(result.failure())
            for key in gone:
                # It was listed and is not there any more: as if it had never been seen by this sync.
                mine[key].seen, mine[key].state = mine[key].seen - 1, "failed"
                counts["scanned"] = counts.get("scanned", 0) - 1
            if job.options.get("take_over"):
                entries.take_over(session, source, [row.key for row in rows])
            supersede(session, source.collection_id, [item.external_id for item in inputs])
            add_counts(job, counts, failures)

        def note_undecided(session: Session) -> None:
            collection = get_collection(session, self.collection)
            for result in decided:
                if result.outcome is Outcome.FAILED and result.code not in _NO_DOCUMENT:
                    commit_failure(
                        session,
                        collection,
                        DocumentInput(result.external_id, attributes=attributes_of(source, Entry(result.external_id))),
                        result.code or "",
                        result.detail or "",
                    )

        def on_commit(session: Session, results: Sequence[Ingested]) -> None:
            note_undecided(session)
            note(session, results)

        if inputs:
            ingest_batch(self.ingestion, self.collection, inputs, on_commit)
        else:
            with self.ingestion.database.write() as session:
                on_commit(session, [])

    def _prune(self, source: Source, sync: int) -> str | None:
        """Delete what this source stored and does not have any more; a sentence if that looks like a mistake."""
        with self.ingestion.database.read() as session:
            seen = entries.counts_of(session, source.id, sync)["scanned"]
            left = len(entries.gone_entries(session, source.id, sync, _NOT_EMPTIED))
        if seen == 0 and left >= _NOT_EMPTIED and not source.options.get("allow_empty"):
            return (
                "The source lists nothing at all, so nothing was deleted: if it really was emptied, set its option "
                "allow_empty to true."
            )
        self._phase("pruning")
        for _ in self._prune_batches(source, sync):
            self.check_stop()
        return None

    def _prune_batches(self, source: Source, sync: int) -> Iterator[None]:
        while True:
            with self.ingestion.database.write() as session:
                job = check_mine(session, self.job_id, self.owner)
                rows = entries.gone_entries(session, source.id, sync, PRUNED_AT_ONCE)
                if not rows:
                    return
                collection = get_collection(session, self.collection)
                deleted = 0
                for row in rows:
                    document = find_document(session, collection.id, row.key)
                    if document is not None and (entries.was_stored(row) or _only_failed(document)):
                        supersede(session, collection.id, [row.key])
                        delete_document(session, collection, row.key)
                        deleted += 1
                    session.delete(row)
                add_counts(job, {"scanned": deleted, "deleted": deleted})
            yield


_NO_DOCUMENT = {"invalid_external_id", "duplicate_external_id"}


def _only_failed(document: Document) -> bool:
    return document.version == 0 and document.status == "failed"
