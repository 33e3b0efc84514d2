"""The facts of a generation's documents, mapped: what permissions and filters look at, without loading it.

A document's ordinal is its place among all of them, sorted by id. At the start nothing is read but the sizes, later only what a
call touches; processes share these pages. The file must not change while it is open; it may be deleted.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from retrieval.access import EVERYTHING, Access
from retrieval.facts.build import FILE, MAGIC
from retrieval.facts.heap_file import Heap
from retrieval.facts.postings import Postings
from retrieval.facts.query import Mask, passing
from retrieval.facts.record import decode_facts
from retrieval.facts.section_file import SectionFile
from retrieval.facts.value_keys import text_key
from retrieval.filters import DocumentFacts, Filter

# Masks that are kept: at most so many, and so many bytes (a mask has one for each document), but always a few.
_MASKS_KEPT = 256
_MASK_BYTES_KEPT = 64 << 20
_MASKS_ALWAYS_KEPT = 4

_Question = tuple[frozenset[str] | None, str, str]


class FactsFile:
    """The facts that ``write_facts`` wrote; safe to use from several threads. Open one with ``FactsFile.open``."""

    def __init__(self, ids: Heap, records: Heap, postings: Postings) -> None:
        self._ids = ids
        self._records = records
        self._postings = postings
        self._masks: OrderedDict[_Question, Mask | None] = OrderedDict()
        self._masks_kept = min(_MASKS_KEPT, max(_MASKS_ALWAYS_KEPT, _MASK_BYTES_KEPT // max(1, len(ids))))
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map the facts in a folder.

        Raises ``Unavailable`` (code ``index_damaged``) for a file that is missing, cut short, of another version or something
        else. Damage that keeps the sizes is not looked for.
        """
        file = SectionFile(folder / FILE, MAGIC)
        ids, records, postings = Heap(file, "ids"), Heap(file, "records"), Postings(file)
        if len(ids) != len(records):
            raise file.damaged(f"has {len(ids)} ids and {len(records)} records")
        return cls(ids, records, postings)

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self) -> Iterator[str]:
        """The documents' ids by ordinal, which is ascending by code point."""
        return map(self.id, range(len(self)))

    def id(self, ordinal: int) -> str:
        """The id of a document; raises ``IndexError`` for an ordinal that is none."""
        return self._ids[ordinal].decode("utf-8", "surrogatepass")

    def ordinal_of(self, document_id: str) -> int | None:
        """The ordinal of a document; ``None`` when it is not here."""
        return self._ids.find(text_key(document_id))

    def facts(self, ordinal: int) -> DocumentFacts:
        """A document's facts as they were written; raises ``IndexError`` for an ordinal that is none."""
        return decode_facts(self._records[ordinal])

    def allowed(self, access: Access = EVERYTHING, filter_: Filter | None = None, collection: str = "") -> Mask | None:
        """Which documents the caller may read and the filter lets pass, by ordinal; ``None`` when all do.

        ``collection`` is the name that the filter's field of that name is compared with. The mask cannot be written to, and it is
        the same object when the same is asked for again, while it is kept.
        """
        if access.groups is None and filter_ is None:
            return None
        # By its text, because 1 and True are equal to Python and not to a filter.
        question = (access.groups, repr(filter_), collection)
        with self._lock:
            if question in self._masks:
                self._masks.move_to_end(question)
                return self._masks[question]
        found = passing(self._postings, len(self), access, filter_, collection)
        found.flags.writeable = False
        mask = None if found.all() else found
        with self._lock:
            kept = self._masks.setdefault(question, mask)
            if len(self._masks) > self._masks_kept:
                self._masks.popitem(last=False)
        return kept
