"""Freeing segments of what was deleted, without analysing again what stays.

The library writes a segment anew, without its deleted chunks and the words that only they had, when it merges it with others.
It merges eight or more of about the same size, and cannot be asked for more. So a segment is taken eight times or more, each time
with another slice of its chunks left alive, and the library makes one segment of these. The slices are links: nothing
is copied, and the segments that they come from are not touched.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tantivy
from numpy.typing import NDArray
from tantivy import FieldType, Occur, Query, Schema

from retrieval.lexical.ballast import ballast_chunk
from retrieval.lexical.build import file_schema, merge_segments
from retrieval.lexical.folder import BLOCK_SIZE, META, gather, read_meta, segment_files, write_durably
from retrieval.lexical.scoring import FIELDS, register_tokenizer

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

# The library's log merge policy: so many segments, of which the smallest has at least 2^-.75 = .59 of the largest's chunks,
# counted as if each had 10,000 or more.
_AT_LEAST, _AT_MOST = 8, 16
_ALIKE = 0.6
_SMALLEST = 10_000
# Deleting needs little memory: the library's least.
_WRITER_BYTES = 15_000_000
_ADDRESSES = 50_000


class NotPurged(Exception):  # noqa: N818 - an answer, not an error for a caller
    """The library did not write the segments anew as it is meant to."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment by its id: the rows that stay alive and those that do not, both ascending."""

    id: str
    alive: Rows
    dead: Rows


def purged(index: Path, work: Path, alive: Mask) -> list[Path]:
    """Folders of segments that hold those chunks of ``index`` whose row is marked in ``alive``, and no word of any other.

    Chunks of negative rows (ballast) go as well; where fewer than eight chunks of a segment are left, some without words come
    to them. ``work`` is a new folder, on the file system of ``index`` to make links.
    Raises ``NotPurged``.
    """
    work.mkdir()
    # The library writes a lock beside what it opens, and the finished file is only read.
    index = _copy(index, work / "linked", None)
    segments = _segments(index, alive)
    clean = [segment.id for segment in segments if not len(segment.dead)]
    dirty = [segment for segment in segments if len(segment.dead) and len(segment.alive)]
    found = [_copy(index, work / "clean", clean)] if clean else []
    if dirty:
        counts = slices_of([len(segment.alive) for segment in dirty])
        if counts is not None:
            found.append(_rewritten(index, work / "all", dirty, counts))
        else:
            found += [_rewritten(index, work / segment.id, [segment], [_AT_LEAST]) for segment in dirty]
    return found


def slices_of(sizes: Sequence[int]) -> list[int] | None:
    """Into how many slices to cut segments of so many chunks so that the library merges them all; ``None`` if it never would."""
    for wanted in range(_AT_LEAST, _AT_MOST + 1):
        counts = [max(1, round(size * wanted / sum(sizes))) for size in sizes]
        each = [max(_SMALLEST, size / count) for size, count in zip(sizes, counts, strict=True)]
        if sum(counts) >= _AT_LEAST and min(each) >= _ALIKE * max(each):
            return counts
    return None


def _segments(index: Path, alive: Mask) -> list[_Segment]:
    searcher = tantivy.Index.open(str(index)).searcher()
    found = []
    for at, segment in enumerate(read_meta(index)["segments"]):
        rows = _rows(searcher, at, segment["max_doc"])
        stays = (rows >= 0) & alive[rows]
        found.append(_Segment(segment["segment_id"], rows[stays], rows[~stays]))
    return found


def _rows(searcher: tantivy.Searcher, at: int, count: int) -> Rows:
    parts: list[Rows] = []
    for start in range(0, count, _ADDRESSES):
        addresses = [tantivy.DocAddress(at, number) for number in range(start, min(count, start + _ADDRESSES))]
        parts.append(np.array(searcher.fast_field_values("key", addresses), dtype=np.int64))
    return np.concatenate(parts)


def _rewritten(index: Path, work: Path, segments: Sequence[_Segment], counts: Sequence[int]) -> Path:
    """The folder of a segment that holds what is alive of ``segments``, each of them cut into so many slices."""
    work.mkdir()
    parts = []
    for segment, count in zip(segments, counts, strict=True):
        marked = _copy(index, work / segment.id, [segment.id])
        _delete(marked, partial(_those, rows=segment.dead))
        for place, rows in enumerate(np.array_split(segment.alive, count)):
            if len(rows):
                part = _copy(marked, work / f"{segment.id}-{place}", None)
                _delete(part, partial(_outside, rows=rows))
                parts.append(part)
    fillers = max(0, _AT_LEAST - len(parts))
    parts += _fillers(work, fillers)
    merged = work / "merged"
    gather(parts, merged)
    merge_segments(merged)
    left = read_meta(merged)["segments"]
    if any(segment["deletes"] for segment in left):
        raise NotPurged("the library merges no segments of this size any more")
    if sum(segment["max_doc"] for segment in left) != sum(len(segment.alive) for segment in segments) + fillers:
        raise NotPurged("a merge of segments has changed the number of their chunks")
    return merged


def _fillers(work: Path, count: int) -> Iterator[Path]:
    """So many folders of a segment of one chunk without words."""
    if count:
        (work / "filler").mkdir()
        index = tantivy.Index(file_schema(), path=str(work / "filler"), sort_by_field="key")
        register_tokenizer(index)
        writer = index.writer(_WRITER_BYTES, 1)
        writer.add_document(ballast_chunk([0] * len(FIELDS)))
        writer.commit()
        writer.wait_merging_threads()
    for number in range(count):
        yield _copy(work / "filler", work / f"filler-{number}", None)


def _copy(index: Path, folder: Path, ids: Sequence[str] | None) -> Path:
    """Some segments of ``index``, or all, under other ids in a new folder; their files are links where there can be links."""
    folder.mkdir()
    meta = read_meta(index)
    chosen = [segment for segment in meta["segments"] if ids is None or segment["segment_id"] in ids]
    for segment in chosen:
        paths = segment_files(index, {"segments": [segment]})
        old, new = segment["segment_id"].replace("-", ""), uuid.uuid4()
        segment["segment_id"] = str(new)
        for path in paths:
            target = folder / path.name.replace(old, new.hex)
            try:
                os.link(path, target)
            except OSError:  # a file system without links
                shutil.copyfile(path, target)
    write_durably(folder / META, json.dumps({**meta, "segments": chosen}, indent=2).encode())
    return folder


def _delete(index: Path, queries: Callable[[Schema], Iterable[Query]]) -> None:
    opened = tantivy.Index.open(str(index))
    register_tokenizer(opened)
    writer = opened.writer(_WRITER_BYTES, 1)
    for query in queries(opened.schema):
        writer.delete_documents_by_query(query)
    writer.commit()
    writer.wait_merging_threads()


def _those(schema: Schema, rows: Rows) -> Iterator[Query]:
    """Queries that find these rows, which ascend: one for each run of them within a block."""
    negative = rows < 0
    if negative.any():
        yield Query.range_query(schema, "key", FieldType.Integer, None, 0, True, False)
    rows = rows[~negative]
    ends = np.flatnonzero((np.diff(rows) > 1) | (np.diff(rows // BLOCK_SIZE) > 0)) + 1
    for run in np.split(rows, ends):
        if len(run):
            first, last = int(run[0]), int(run[-1])
            block = Query.term_query(schema, "block", first // BLOCK_SIZE)
            within = Query.range_query(schema, "key", FieldType.Integer, first, last)
            yield Query.boolean_query([(Occur.Must, block), (Occur.Must, within)])


def _outside(schema: Schema, rows: Rows) -> list[Query]:
    """Queries that find what lies before the first and after the last of these rows."""
    first, last = int(rows[0]), int(rows[-1])
    return [
        Query.range_query(schema, "key", FieldType.Integer, None, first, True, False),
        Query.range_query(schema, "key", FieldType.Integer, last, None, False, True),
    ]
