"""Writing what a generation's files hold, document after document: positions, vectors and words; then facts."""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_1_0
from numpy.typing import NDArray

from retrieval.dense.build import build_dense
from retrieval.dense.carry import Carried
from retrieval.dense.report import DenseReport, RecallTarget
from retrieval.facts.build import write_facts
from retrieval.filters import DocumentFacts
from retrieval.generations.base import DENSE, FACTS, KEYS, LEXICAL, PLACES, STARTS, UNEMBEDDED
from retrieval.lexical.build import LexicalBuilder
from retrieval.lexical.memory import LexicalEntry
from retrieval.surroundings import places, surrounded_vectors, surrounding_texts
from retrieval.view import IndexedChunk

# The vectors as the index is built of them: (n, dim) of float32; a row of zeros stands for none.
VECTORS = "vectors.npy"
# Documents read in one go.
_BATCH = 500
# Chunks whose words are written in one go.
_COMMIT = 50_000

# Called with the documents read, and all there are; what it raises ends the work.
Progress = Callable[[int, int], None]
# The chunks of documents by their ids; one that is gone is left out.
Load = Callable[[Sequence[str]], Mapping[str, Sequence[IndexedChunk]]]


def silent(_done: int, _total: int) -> None:
    """A ``Progress`` that tells nobody."""


def write_chunks(
    folder: Path, ids: Sequence[str], load: Load, dim: int, language: str | None, progress: Progress
) -> int:
    """Write everything but the facts and the vectors' index, and say how many positions there are.

    ``ids`` ascend. A document that ``load`` does not find keeps its ordinal, without chunks.
    """
    # Arrays, as a list takes five times as much for each number.
    starts, keys, numbers, unembedded = array("q", [0]), array("q"), array("q"), array("q")
    lexical = LexicalBuilder(folder / LEXICAL, language)
    committed = 0
    with vectors_file(folder, dim) as vectors:
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            loaded = load(part)
            for id_ in part:
                chunks = loaded.get(id_, ())
                lexical.add(lexical_entries(chunks, len(keys)))
                write_vectors(vectors, chunks, dim)
                unembedded.extend(len(keys) + i for i, chunk in enumerate(chunks) if chunk.vector is None)
                keys.extend(chunk.key for chunk in chunks)
                numbers.extend(places_of(chunks))
                starts.append(len(keys))
            if lexical.count - committed >= _COMMIT:
                lexical.commit()
                committed = lexical.count
            progress(start + len(part), len(ids))
    lexical.finish()
    np.save(folder / KEYS, np.array(keys, dtype=np.int64))
    np.save(folder / STARTS, np.array(starts, dtype=np.int64))
    np.save(folder / PLACES, np.array(numbers, dtype=np.int32))
    np.save(folder / UNEMBEDDED, np.array(unembedded, dtype=np.int64))
    return len(keys)


def write_dense(
    folder: Path, count: int, dim: int, target: RecallTarget, carried: Carried | None = None
) -> DenseReport:
    """Build the vectors' index of what ``write_chunks`` wrote, anew if there is half of one; see ``build_dense``."""
    shutil.rmtree(folder / DENSE, ignore_errors=True)
    vectors: NDArray[np.float32] = np.zeros((0, dim), dtype=np.float32)
    if count:
        vectors = np.load(folder / VECTORS, mmap_mode="r")
    return build_dense(folder / DENSE, vectors, target, source=folder / VECTORS, carried=carried)


def write_documents(folder: Path, facts: Iterable[DocumentFacts]) -> None:
    """Write the facts of the documents, in the order of their ids."""
    (folder / FACTS).mkdir()
    write_facts(folder / FACTS, facts)


def lexical_entries(chunks: Sequence[IndexedChunk], first: int) -> list[LexicalEntry]:
    """A document's chunks as the lexical index takes them in, with the keys from ``first`` on."""
    around = surrounding_texts([chunk.text for chunk in chunks], [chunk.repeated for chunk in chunks])
    return [
        LexicalEntry(first + i, chunk.context, chunk.text, text)
        for i, (chunk, text) in enumerate(zip(chunks, around, strict=True))
    ]


@contextmanager
def vectors_file(folder: Path, dim: int) -> Iterator[BinaryIO]:
    """The file of the vectors, to be written row by row: an array in numpy's format once it is closed."""
    with (folder / VECTORS).open("wb") as file:
        # A header has room for the largest number of rows, so the right one fits in its place at the end.
        _write_header(file, 0, dim)
        start = file.tell()
        yield file
        rows = (file.tell() - start) // (4 * dim)
        file.seek(0)
        _write_header(file, rows, dim)


def _write_header(file: BinaryIO, rows: int, dim: int) -> None:
    described = {"descr": dtype_to_descr(np.dtype(np.float32)), "fortran_order": False, "shape": (rows, dim)}
    write_array_header_1_0(file, described)


def places_of(chunks: Sequence[IndexedChunk]) -> list[int]:
    """The number of the place of each of a document's chunks."""
    return places([chunk.page for chunk in chunks], [len(chunk.text) - chunk.repeated for chunk in chunks])


def write_vectors(file: BinaryIO, chunks: Sequence[IndexedChunk], dim: int) -> None:
    """Append the vectors of a document's chunks as they are indexed: with their surroundings."""
    none = np.zeros(dim, dtype=np.float32)
    file.writelines(
        (none if vector is None else vector).tobytes()
        for vector in surrounded_vectors([chunk.vector for chunk in chunks])
    )
