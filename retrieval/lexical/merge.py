"""The next lexical file out of the one before: what stays is not analysed again, and no word of what goes is left.

Words, document frequencies and lengths are those of a file built anew. The library counts the words of a segment that it freed of
chunks only about (to 6 %), which would shift the average lengths that scores are compared with: ballast brings them back
to what they are.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import tantivy
from tantivy import Index, IndexWriter

from retrieval.lexical.analysis import Analysis
from retrieval.lexical.ballast import ballast_chunk, raw_counts
from retrieval.lexical.build import WRITER_BYTES, file_schema, first_rows, merge_segments
from retrieval.lexical.folder import (
    BLOCK_SIZE,
    FORMAT,
    HEADER,
    INDEX,
    PARTS,
    Header,
    averages,
    gather,
    put_in_order,
    read_header,
    read_meta,
    write_durably,
)
from retrieval.lexical.memory import document_of
from retrieval.lexical.purge import NotPurged, purged
from retrieval.lexical.rows import LENGTHS, ROWS, Lengths, Positions, as_lengths, open_rows, read_lengths, write_array
from retrieval.lexical.scoring import FIELDS, LexicalEntry, register_tokenizer

__all__ = ["LexicalMerger", "NotPurged"]

# Numbers of rows are not used again; when fewer than one in so many is, a file should be built anew.
_SPARSE = 2
_FEW_ROWS = 1_000
# Below so many chunks ballast doubles their number, so that averages are met exactly; above, rounding is below 3e-5.
_EXACTLY = 20_000
# Terms of one ballast chunk, and ballast chunks at least.
_MOST_TERMS = 500_000


class LexicalMerger:
    """Makes the lexical file of ``folder`` out of a finished one and chunks that are new; one at a time.

    A merge that was stopped begins anew. The finished file is only read.
    """

    def __init__(self, finished: Path, folder: Path, language: str | None = None) -> None:
        """Raises ``ValueError`` where the finished file is of another language or lacks what a merge needs.

        ``FileNotFoundError`` if it is not there, or was built before files could be merged.
        """
        self._analysis = Analysis(language)
        header = read_header(finished)
        if header.language != self._analysis.language:
            raise ValueError(f"{finished} is in {header.language}, and {self._analysis.language} is wanted")
        known = open_rows(finished, header)
        self._known: Positions = np.arange(header.count) if known is None else known
        self._known_lengths = read_lengths(finished, len(self._known))
        self._exact = header.ballast == 0
        self._finished = finished
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        (folder / PARTS).mkdir(parents=True)
        self._fresh = folder / PARTS / "fresh"
        self._writer: IndexWriter | None = None
        self._lengths: list[tuple[int, ...]] = []

    def add(self, entries: Iterable[LexicalEntry]) -> None:
        """Add chunks that the finished file lacks; their keys are looked at no more than their order, see ``finish``."""
        for entry in entries:
            row = len(self._known) + len(self._lengths)
            document, lengths = document_of(
                LexicalEntry(row, entry.context, entry.text, entry.surroundings), self._analysis
            )
            document.add_integer("block", row // BLOCK_SIZE)
            self._open().add_document(document)
            self._lengths.append(lengths)

    def _open(self) -> IndexWriter:
        if self._writer is None:
            self._fresh.mkdir()
            index = Index(file_schema(), path=str(self._fresh), sort_by_field="key")
            register_tokenizer(index)
            self._writer = index.writer(WRITER_BYTES, 1)
        return self._writer

    def finish(self, carried: Positions, fresh: Positions) -> None:
        """Make the file that ``LexicalFile.open`` opens.

        ``carried`` says, for each position of the finished file, where it is now, -1 if it is gone; ``fresh`` the same
        for what was added, in the order of ``add``. Raises ``NotPurged`` where the library does not merge as it should, or
        too few rows would be used: build the file anew then.
        """
        there = self._known >= 0
        rows = np.concatenate([np.where(there, carried[self._known] if len(carried) else -1, -1), fresh]).astype(
            np.int64
        )
        count = int(np.count_nonzero(rows >= 0))
        if not count or len(rows) > _SPARSE * count + _FEW_ROWS:
            raise NotPurged(f"only {count} of {len(rows)} rows would be used")
        alive = rows[: len(self._known)] >= 0
        parts = purged(self._finished / INDEX, self._folder / PARTS / "purged", alive) if alive.any() else []
        if self._writer is not None:
            self._writer.commit()
            self._writer.wait_merging_threads()
            self._writer = None
            parts.append(self._fresh)
        index = self._folder / INDEX
        gather(parts, index)
        merge_segments(index)
        lengths = np.concatenate([self._known_lengths, as_lengths(self._lengths)])
        lengths[rows < 0] = 0
        totals = lengths.sum(axis=0, dtype=np.int64).tolist()
        exact = self._exact and bool(alive.all())
        if not exact:
            _level(index, totals, count)
        put_in_order(index, first_rows(index))
        ballast = sum(segment["max_doc"] for segment in read_meta(index)["segments"]) - count
        if ballast < 0 or (exact and ballast):
            raise NotPurged("the merged segments do not hold what they should")
        self._write(rows, lengths, totals, count, ballast)

    def _write(self, rows: Positions, lengths: Lengths, totals: list[int], count: int, ballast: int) -> None:
        write_array(self._folder / ROWS, rows)
        write_array(self._folder / LENGTHS, lengths)
        header = Header(FORMAT, self._analysis.language, count, averages(totals, count), len(rows), ballast)
        write_durably(self._folder / HEADER, msgspec.json.encode(header))
        shutil.rmtree(self._folder / PARTS)


def _level(index: Path, totals: list[int], count: int) -> None:
    """Bring the library's average lengths to ``totals`` over ``count``, by ballast."""
    opened = tantivy.Index.open(str(index))
    register_tokenizer(opened)
    writer = opened.writer(WRITER_BYTES, 1)
    writer.add_document(ballast_chunk([1] * len(FIELDS)))
    writer.commit()
    opened.reload()
    raw = raw_counts(opened.searcher(), opened.schema)
    counted = [round(average * raw.chunks) for average in raw.lengths.as_tuple()]
    # A multiple of the count needs no rounding.
    chunks = count - raw.chunks % count if count < _EXACTLY else 1
    while True:
        everything = raw.chunks + chunks
        lacking = [
            max(0, round(total * everything / count) - there) for total, there in zip(totals, counted, strict=True)
        ]
        if max(lacking) <= _MOST_TERMS * chunks:
            break
        chunks = -(-max(lacking) // _MOST_TERMS) + chunks // 8  # more chunks lack a little more
    for number in range(chunks):
        writer.add_document(ballast_chunk([lack // chunks + (number < lack % chunks) for lack in lacking]))
    writer.commit()
    writer.wait_merging_threads()
