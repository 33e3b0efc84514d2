"""What a merge takes from the live generation's own files instead of making it again: all that is of unchanged documents.

Their vectors, keys and places are copied, their words stay in the lexical segments, and the vectors' index keeps its lists. Which
documents are unchanged says the change log, as it does to every reader. Facts are not copied: who may read a document is
always read from the database.

Only files whose content is what was sealed are taken, so every file is read once to be sure; of damaged ones nothing is, and the
database gives everything, as it does for a generation of another encoder or language.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from retrieval.dense.carry import Carried
from retrieval.dense.stored import VECTORS_FILE
from retrieval.generations.base import DENSE, KEYS, LEXICAL, PLACES, STARTS, UNEMBEDDED, Base, open_base
from retrieval.generations.files import Load, Progress, lexical_entries, places_of, vectors_file, write_vectors
from retrieval.generations.manifest import Damaged, Manifest, damaged_files, read_manifest
from retrieval.lexical.merge import LexicalMerger, NotPurged

Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Where each position of the earlier files is now: kept until the vectors' index is built.
CARRIED = "carried.npy"
_FRESH = "fresh.f32"
_VECTORS = f"{DENSE}/{VECTORS_FILE}"
# Documents read in one go; positions copied in one go.
_BATCH, _BLOCK = 500, 16_384
# With less than this part of the new files unchanged, building them anew costs about as much.
_WORTH = 0.5

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sealed:
    """The files of a generation as they were sealed: where they are, and their manifest's sha256."""

    folder: Path
    sha256: str


def open_sealed(sealed: Sealed, encoder: str, chunk_set: int, dim: int, language: str | None) -> Base | None:
    """The files to take from, read in full and found to be whole; ``None`` if they are not, or hold something else."""
    reason = "they are of another encoder or language"
    try:
        base = open_base(sealed.folder, sealed.sha256)
        if _same(base.manifest, encoder, chunk_set, dim, language):
            damaged = damaged_files(sealed.folder, base.manifest)
            if not damaged:
                return base
            reason = f"damaged: {', '.join(damaged)}"
    except (Damaged, FileNotFoundError) as error:
        reason = str(error)
    log.warning("index.nothing_reused", folder=sealed.folder.name, reason=reason)
    return None


def _same(manifest: Manifest, encoder: str, chunk_set: int, dim: int, language: str | None) -> bool:
    """Whether a chunk of the files is what a build would make of it now."""
    there = (manifest.encoder, manifest.chunk_set, manifest.dim, manifest.language)
    return there == (encoder, chunk_set, dim, language)


@dataclass(frozen=True, slots=True)
class Merged:
    """What was written: how many positions, and how many documents' were taken from the earlier files."""

    chunks: int
    reused: int


@dataclass(frozen=True, slots=True)
class _Fresh:
    """The documents read from the database: how many chunks each has; of their chunks keys, places, and which have no vector."""

    counts: list[int]
    keys: list[int]
    places: list[int]
    unembedded: list[int]


def merge_chunks(
    folder: Path, base: Base, source: Path, ids: Sequence[str], changed: set[str], load: Load, progress: Progress
) -> Merged | None:
    """Write what ``write_chunks`` writes, taking from ``base``, which lies in ``source``, all but the ``changed`` documents.

    ``ids`` ascend. ``None``, with nothing left in ``folder``, where too little is unchanged to be worth it, or the words cannot
    be taken over.
    """
    before = _ordinals(base, ids, changed)
    kept = before >= 0
    reused = int(np.count_nonzero(kept))
    if not reused or reused < _WORTH * len(ids):
        return None
    try:
        words = LexicalMerger(source / LEXICAL, folder / LEXICAL, base.manifest.language)
        fresh = _read(
            folder,
            [id_ for id_, keep in zip(ids, kept, strict=True) if not keep],
            load,
            words,
            base.dense.dim,
            progress,
            reused,
        )
        counts = np.where(kept, np.diff(base.starts)[before], 0)
        counts[~kept] = fresh.counts
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        taken = np.repeat(kept, counts)
        # The position in the earlier files of each that is taken from them, and where that one is now.
        origin = (np.repeat(base.starts[before] - starts[:-1], counts) + np.arange(starts[-1]))[taken]
        carried = np.full(len(base.keys), -1, dtype=np.int64)
        carried[origin] = np.flatnonzero(taken)
        words.finish(carried, np.flatnonzero(~taken))
    except (ValueError, FileNotFoundError, NotPurged) as error:
        log.warning("index.nothing_reused", folder=source.name, reason=str(error))
        _clear(folder)
        return None
    _copy_vectors(folder, base, taken, origin)
    _save(folder / KEYS, base.keys, np.array(fresh.keys), taken, origin)
    _save(folder / PLACES, base.places, np.array(fresh.places), taken, origin)
    np.save(folder / STARTS, starts)
    np.save(folder / UNEMBEDDED, np.flatnonzero(~taken)[np.array(fresh.unembedded, dtype=np.int64)])
    np.save(folder / CARRIED, carried)
    return Merged(int(starts[-1]), reused)


def carried_index(folder: Path, source: Sealed | None) -> Carried | None:
    """The vectors' index that ``merge_chunks`` said what became of; ``None`` if it is damaged by now, or there was no merge."""
    if source is None or not (folder / CARRIED).exists():
        return None
    try:
        manifest = read_manifest(source.folder, source.sha256)
    except (Damaged, FileNotFoundError):
        return None
    # The vectors are not read again, and are most of it.
    read = {name: stamp for name, stamp in manifest.files.items() if name.startswith(DENSE) and name != _VECTORS}
    if damaged_files(source.folder, replace(manifest, files=read)):
        return None
    return Carried(source.folder / DENSE, np.load(folder / CARRIED))


def _ordinals(base: Base, ids: Sequence[str], changed: set[str]) -> Positions:
    """The ordinal in ``base`` of each document that can be taken from there, else -1."""
    # A vector may have come since without a change of the document.
    lacking = {base.facts.id(base.owner(int(position))) for position in base.unembedded}
    out = changed | lacking
    found = (None if id_ in out else base.facts.ordinal_of(id_) for id_ in ids)
    return np.array([-1 if ordinal is None else ordinal for ordinal in found], dtype=np.int64)


def _read(
    folder: Path, ids: Sequence[str], load: Load, words: LexicalMerger, dim: int, progress: Progress, done: int
) -> _Fresh:
    """Read what changed; its words go into ``words``, its vectors into a file of their own."""
    fresh = _Fresh([], [], [], [])
    with (folder / _FRESH).open("wb") as vectors:
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            loaded = load(part)
            for id_ in part:
                chunks = loaded.get(id_, ())
                words.add(lexical_entries(chunks, len(fresh.keys)))
                write_vectors(vectors, chunks, dim)
                fresh.unembedded.extend(len(fresh.keys) + i for i, chunk in enumerate(chunks) if chunk.vector is None)
                fresh.keys.extend(chunk.key for chunk in chunks)
                fresh.places.extend(places_of(chunks))
                fresh.counts.append(len(chunks))
            progress(done + start + len(part), done + len(ids))
    return fresh


def _copy_vectors(folder: Path, base: Base, taken: Mask, origin: Positions) -> None:
    """Put the vectors of all positions in order."""
    count = int(np.count_nonzero(~taken))
    added = np.zeros((0, base.dense.dim), dtype=np.float32)
    if count:  # an empty file cannot be mapped
        added = np.memmap(folder / _FRESH, dtype=np.float32, mode="r", shape=(count, base.dense.dim))
    number = np.cumsum(taken)
    with vectors_file(folder, base.dense.dim) as file:
        for start in range(0, len(taken), _BLOCK):
            old = taken[start : start + _BLOCK]
            first = int(number[start]) - int(old[0])
            block = np.empty((len(old), base.dense.dim), dtype=np.float32)
            count = int(np.count_nonzero(old))
            block[old] = base.dense.vectors(origin[first : first + count])
            block[~old] = added[start - first : start - first + len(old) - count]
            file.write(block.data)
    (folder / _FRESH).unlink()


def _save(path: Path, old: NDArray[np.integer], new: NDArray[np.integer], taken: Mask, origin: Positions) -> None:
    merged = np.empty(len(taken), dtype=old.dtype)
    merged[taken], merged[~taken] = old[origin], new
    np.save(path, merged)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
