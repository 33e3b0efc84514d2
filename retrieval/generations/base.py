"""A generation's files, mapped: the part of a collection's index that processes share and nobody changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infra.errors import Unavailable
from retrieval.dense.file import DenseFile
from retrieval.facts.file import FactsFile
from retrieval.generations.manifest import Damaged, Manifest, read_manifest
from retrieval.lexical.file import LexicalFile

KEYS, STARTS, PLACES, UNEMBEDDED = "keys.npy", "starts.npy", "places.npy", "unembedded.npy"
DENSE, LEXICAL, FACTS = "dense", "lexical", "facts"


class Base:
    """A generation, opened read-only; safe to use from several threads.

    Its documents have ordinals in the order of their ids, its chunks positions in the order of their documents.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Map the files; use ``open_base``, which checks them first."""
        self.manifest = manifest
        self.keys: NDArray[np.int64] = np.load(folder / KEYS, mmap_mode="r")
        self.starts: NDArray[np.int64] = np.load(folder / STARTS, mmap_mode="r")
        self.dense = DenseFile.open(folder / DENSE)
        self.lexical = LexicalFile.open(folder / LEXICAL)
        self.facts = FactsFile.open(folder / FACTS)
        # The positions without a vector: none, unless one is missing in the database.
        self.unembedded: NDArray[np.int64] = np.load(folder / UNEMBEDDED)
        self.places: NDArray[np.int32] = np.load(folder / PLACES, mmap_mode="r")
        counts = {len(self.keys), len(self.places), int(self.starts[-1]), self.dense.count, self.lexical.count}
        if counts != {manifest.chunks} or len(self.facts) != manifest.documents != len(self.starts) - 1:
            raise Damaged("its files do not belong together")

    def owner(self, position: int) -> int:
        """The ordinal of the document that a chunk is of."""
        return int(np.searchsorted(self.starts, position, side="right")) - 1

    def place(self, position: int) -> tuple[str, int]:
        """The document of a chunk, and the number of its place there."""
        return self.facts.id(self.owner(position)), int(self.places[position])

    def located(self, positions: Sequence[int]) -> dict[int, tuple[str, int]]:
        """``place`` of many chunks at once, by their keys."""
        at = np.fromiter(positions, dtype=np.int64, count=len(positions))
        owners = np.searchsorted(self.starts, at, side="right") - 1
        found = zip(self.keys[at].tolist(), owners.tolist(), self.places[at].tolist(), strict=True)
        return {key: (self.facts.id(owner), number) for key, owner, number in found}


def open_base(folder: Path, sha256: str) -> Base:
    """The generation in ``folder`` whose manifest has this ``sha256``.

    Raises ``Damaged`` if it is not whole as far as sizes tell, and ``FileNotFoundError`` if it is not there.
    """
    manifest = read_manifest(folder, sha256)
    try:
        return Base(folder, manifest)
    except (ValueError, FileNotFoundError, Unavailable) as error:
        raise Damaged(str(error)) from error
