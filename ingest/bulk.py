"""Many documents at hand, stored batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from queue import SimpleQueue

from ingest.document import DocumentInput, Ingested
from ingest.lanes import Lanes
from ingest.pipeline import Ingestion, ingest_batch
from ingest.sync import BATCH_BYTES


def ingest_all(ingestion: Ingestion, collection: str, items: Iterable[DocumentInput]) -> Iterator[Ingested]:
    """Ingest ``items`` in batches, at the ingestion's pace, giving each outcome once it is committed.

    Of two documents of one id the later one stays. Raises as ``ingest_batch``; what is committed by then stays.
    """
    done: SimpleQueue[list[Ingested]] = SimpleQueue()
    begun: set[str] = set()

    def store(batch: list[DocumentInput]) -> None:
        done.put(ingest_batch(ingestion, collection, batch))

    with Lanes(ingestion.pace.batches) as lanes:
        for batch in batches_of(items, ingestion.pace.documents):
            names = {item.external_id for item in batch}
            if names & begun:
                lanes.wait()
                begun.clear()
            begun |= names
            lanes.run(partial(store, batch))
            while not done.empty():
                yield from done.get()
    while not done.empty():
        yield from done.get()


def batches_of(items: Iterable[DocumentInput], documents: int) -> Iterator[list[DocumentInput]]:
    """Batches of so many ``documents`` at most, of distinct ids; of ``BATCH_BYTES`` together, or of a single file."""
    batch: list[DocumentInput] = []
    names: set[str] = set()
    held = 0
    for item in items:
        size = _size(item)
        if batch and (len(batch) == documents or held + size > BATCH_BYTES or item.external_id in names):
            yield batch
            batch, names, held = [], set(), 0
        batch.append(item)
        names.add(item.external_id)
        held += size
    if batch:
        yield batch


def _size(item: DocumentInput) -> int:
    if item.path is not None:
        return item.path.stat().st_size if item.path.is_file() else 0
    return len(item.data or item.text or "")
