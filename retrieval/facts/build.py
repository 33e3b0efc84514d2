"""Writing the facts of a generation's documents: see ``retrieval/facts/file.py`` for reading them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from retrieval.facts.columns import keys_of_document
from retrieval.facts.heap_file import HeapWriter
from retrieval.facts.postings_build import PostingsWriter
from retrieval.facts.record import encode_facts
from retrieval.facts.section_file import write_sections
from retrieval.facts.value_keys import text_key
from retrieval.filters import DocumentFacts

FILE = "facts.bin"
MAGIC = b"FNFACTS\x01"
# Ordinals are 32 bits wide.
MAX_DOCUMENTS = 1 << 32


def write_facts(folder: Path, facts: Iterable[DocumentFacts]) -> int:
    """Write the facts of documents into an existing folder; their ids ascend strictly, by code point. Says how many there were.

    The documents are read once. Memory does not grow with their number; sorting takes room in the folder meanwhile. The file
    appears when it is complete. Raises ``ValueError`` for ids out of order, and for metadata that is not JSON.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".facts-") as name:
        parts = Path(name)
        last: bytes | None = None
        with (
            HeapWriter(parts, "ids") as ids,
            HeapWriter(parts, "records") as records,
            PostingsWriter(parts) as postings,
        ):
            for ordinal, document in enumerate(facts):
                id_ = text_key(document.id)
                if last is not None and id_ <= last:
                    raise ValueError(f"document {document.id} does not follow the one before it: ids must ascend")
                if ordinal == MAX_DOCUMENTS:
                    raise ValueError(f"an index holds at most {MAX_DOCUMENTS} documents")
                last = id_
                ids.append(id_)
                try:
                    postings.add(ordinal, keys_of_document(document))
                    records.append(encode_facts(document))
                except ValueError as error:
                    raise ValueError(f"document {document.id}: {error}") from error
        write_sections(folder / FILE, MAGIC, ids.parts | records.parts | postings.parts)
    return ids.count
