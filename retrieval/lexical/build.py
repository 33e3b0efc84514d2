"""Building a lexical file: chunks by position, added once and in order, in parts that outlive a crash."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import tantivy
from tantivy import Index, IndexWriter, Schema, SchemaBuilder

from infra.durable import sync_directory
from retrieval.lexical.analysis import Analysis
from retrieval.lexical.folder import (
    BLOCK_SIZE,
    FORMAT,
    HEADER,
    INDEX,
    PARTS,
    Header,
    Part,
    averages,
    gather,
    put_in_order,
    read_header,
    read_meta,
    write_durably,
)
from retrieval.lexical.memory import document_of
from retrieval.lexical.rows import LENGTHS, as_lengths, write_array
from retrieval.lexical.scoring import FIELDS, LexicalEntry, register_tokenizer, text_fields

_PART = "part.json"
_OPEN = "open"
WRITER_BYTES = 256_000_000


class LexicalBuilder:
    """Makes the lexical file of a folder; one at a time.

    A builder of a folder where an earlier one was stopped goes on after its last ``commit``. Every commit makes a part with
    files of its own, so commit after some 50,000 chunks, not after each: ``finish`` merges parts of about the same size, eight
    or more of them, into one.
    """

    def __init__(self, folder: Path, language: str | None = None) -> None:
        self._folder = folder
        self._analysis = Analysis(language)
        self._parts = folder / PARTS
        self._header = read_header(folder) if (folder / HEADER).exists() else None
        if self._header is not None:
            shutil.rmtree(self._parts, ignore_errors=True)  # what a crash at the very end left
        else:
            self._parts.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._parts / _OPEN, ignore_errors=True)
        self._done: list[tuple[Path, Part]] = []
        for path in sorted(self._parts.iterdir()) if self._header is None else ():
            self._done.append((path, msgspec.json.decode((path / _PART).read_bytes(), type=Part)))
        if any(part.language != self._analysis.language for _, part in self._done):
            raise ValueError(
                f"{folder} holds parts in another language than {self._analysis.language}: remove them first"
            )
        self._writer: IndexWriter | None = None
        self._lengths: list[tuple[int, ...]] = []

    @property
    def count(self) -> int:
        """How many chunks there are, with those not committed yet."""
        return self._committed + len(self._lengths) if self._header is None else self._header.count

    @property
    def _committed(self) -> int:
        return self._done[-1][1].end if self._done else 0

    def add(self, entries: Iterable[LexicalEntry]) -> None:
        """Add chunks; the key of each is the position after the last one's.

        Raises ``ValueError`` for another, and when the file is finished.
        """
        self._check_unfinished()
        for entry in entries:
            if entry.key != self.count:
                raise ValueError(f"the next position is {self.count}, and {entry.key} was given")
            document, lengths = document_of(entry, self._analysis)
            document.add_integer("block", entry.key // BLOCK_SIZE)
            self._open().add_document(document)
            self._lengths.append(lengths)

    def _check_unfinished(self) -> None:
        if self._header is not None:
            raise ValueError(f"{self._folder} is finished: build another in a new folder")

    def _open(self) -> IndexWriter:
        if self._writer is None:
            folder = self._parts / _OPEN
            folder.mkdir()
            # Sorted: what is merged out of several stays in the order of positions.
            index = Index(file_schema(), path=str(folder), sort_by_field="key")
            register_tokenizer(index)
            self._writer = index.writer(WRITER_BYTES, 1)
        return self._writer

    def commit(self) -> None:
        """Make all that was added durable."""
        if self._writer is None:
            return
        self._writer.commit()
        self._writer.wait_merging_threads()
        self._writer = None
        lengths = as_lengths(self._lengths)
        body, surroundings, identifiers = lengths.sum(axis=0, dtype=np.int64).tolist()
        part = Part(self._committed, len(lengths), self._analysis.language, (body, surroundings, identifiers))
        opened = self._parts / _OPEN
        write_array(opened / LENGTHS, lengths)
        write_durably(opened / _PART, msgspec.json.encode(part))
        place = self._parts / f"{part.start:012d}-{part.count}"
        opened.rename(place)
        sync_directory(self._parts)
        self._done.append((place, part))
        self._lengths = []

    def truncate(self, count: int) -> int:
        """Drop the last parts until at most ``count`` chunks are left, and what was not committed; returns how many are left.

        That is ``count`` if there was a commit at ``count`` chunks, and else fewer. Raises ``ValueError`` when the file is
        finished.
        """
        self._check_unfinished()
        self._writer = None
        shutil.rmtree(self._parts / _OPEN, ignore_errors=True)
        self._lengths = []
        while self._done and self._done[-1][1].end > count:
            path, _ = self._done.pop()
            # Under a name that the next start removes: half a part would be taken for a whole one.
            path.rename(self._parts / _OPEN)
            shutil.rmtree(self._parts / _OPEN)
        sync_directory(self._parts)
        return self.count

    def finish(self) -> None:
        """Make the file that ``LexicalFile.open`` opens out of the parts, and remove these; again after a crash if need be."""
        if self._header is not None:
            return
        self.commit()
        index = self._folder / INDEX
        if self._done:
            gather([path for path, _ in self._done], index)
            merge_segments(index)
        else:
            shutil.rmtree(index, ignore_errors=True)
            index.mkdir()
            Index(file_schema(), path=str(index), sort_by_field="key")
        put_in_order(index, first_rows(index))
        lengths = [np.load(path / LENGTHS) for path, _ in self._done]
        write_array(self._folder / LENGTHS, np.concatenate([as_lengths([]), *lengths]))
        totals = [sum(part.totals[at] for _, part in self._done) for at in range(len(FIELDS))]
        header = Header(FORMAT, self._analysis.language, self.count, averages(totals, self.count))
        write_durably(self._folder / HEADER, msgspec.json.encode(header))
        self._header = header
        shutil.rmtree(self._parts)


def file_schema() -> Schema:
    """The fields of a lexical file: a row and its block, and the terms."""
    builder = SchemaBuilder().add_integer_field("key", stored=False, indexed=False, fast=True)
    return text_fields(builder.add_integer_field("block", stored=False, indexed=True, fast=False)).build()


def merge_segments(index: Path) -> None:
    """Let the library merge what it finds worth merging."""
    opened = tantivy.Index.open(str(index))
    register_tokenizer(opened)
    writer = opened.writer(WRITER_BYTES, 1)
    writer.commit()
    writer.wait_merging_threads()


def first_rows(index: Path) -> dict[str, int]:
    """The lowest row of each segment, by its id: segments are sorted, so it is that of the first chunk."""
    searcher = tantivy.Index.open(str(index)).searcher()
    segments = read_meta(index)["segments"]
    first = [tantivy.DocAddress(at, 0) for at in range(len(segments))]
    rows = searcher.fast_field_values("key", first)
    return {segment["segment_id"]: int(row or 0) for segment, row in zip(segments, rows, strict=True)}
