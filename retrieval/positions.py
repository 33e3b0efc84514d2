"""From documents to the positions of their chunks: document ``d`` has the positions ``starts[d]`` to ``starts[d + 1]``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Positions = NDArray[np.int64]

# Below this share of documents, writing their positions one by one is faster than repeating every document's answer.
_FEW = 1 / 32


def count_positions(documents: Mask, starts: Positions) -> int:
    """How many positions the documents of a mask have. ``starts`` has one item more than there are documents."""
    chosen = np.flatnonzero(_checked(documents, starts))
    return int((starts[chosen + 1] - starts[chosen]).sum())


def positions_of(documents: Mask, starts: Positions) -> Positions:
    """The positions of the documents of a mask, ascending."""
    chosen = np.flatnonzero(_checked(documents, starts))
    first = starts[chosen]
    counts = starts[chosen + 1] - first
    before = np.cumsum(counts) - counts
    return np.repeat(first - before, counts) + np.arange(counts.sum())


def position_mask(documents: Mask, starts: Positions) -> Mask:
    """The mask over positions of a mask over documents; it cannot be written to."""
    if np.count_nonzero(_checked(documents, starts)) < _FEW * len(documents):
        mask = np.zeros(int(starts[-1]), dtype=np.bool_)
        mask[positions_of(documents, starts)] = True
    else:
        mask = np.repeat(documents, np.diff(starts))
    mask.flags.writeable = False
    return mask


def _checked(documents: Mask, starts: Positions) -> Mask:
    if len(starts) != len(documents) + 1:
        raise ValueError(f"{len(starts)} starts were given for {len(documents)} documents: there must be one more")
    return documents
