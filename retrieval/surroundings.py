"""Surroundings: what stands around a chunk in its document helps to find it.

A chunk is small enough to be cited, and so often too small to hold all of what a question asks for: the
subject is named one chunk earlier, or the answer goes on in the next. Each chunk is therefore indexed with a
share of its neighbours; what is shown and cited stays the chunk itself. What this gained on which data is in
``bench/LOG.md``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

NEIGHBOUR_WEIGHT = 0.3
# About a printed page: what counts as one place in a document that has no pages.
PLACE_CHARS = 3_000


def surrounding_texts(texts: Sequence[str], repeated: Sequence[int] = ()) -> list[str]:
    """For each of a document's chunks, in order: the texts of the one before, itself and the one after.

    ``repeated``: how many characters at the start of each are the end of the one before; they are not said twice.
    """
    own = [text[count:] for text, count in zip(texts, repeated or [0] * len(texts), strict=True)]
    return ["\n".join([texts[max(0, i - 1)], *own[max(0, i - 1) + 1 : i + 2]]) for i in range(len(texts))]


def surrounded_vectors(
    vectors: Sequence[Vector | None], neighbour_weight: float = NEIGHBOUR_WEIGHT
) -> list[Vector | None]:
    """Unit vectors of a document's chunks, in order, each with ``neighbour_weight`` times those of its two
    neighbours.

    ``v' = normalise(v + w * (before + after))``. A chunk without a vector stays without one and gives its
    neighbours none.
    """
    mixed: list[Vector | None] = []
    for i, vector in enumerate(vectors):
        if vector is None:
            mixed.append(None)
            continue
        total = vector.astype(np.float64)
        for neighbour in (*vectors[max(0, i - 1) : i], *vectors[i + 1 : i + 2]):
            if neighbour is not None:
                total += neighbour_weight * neighbour
        mixed.append(np.asarray(total / np.linalg.norm(total), dtype=np.float32))
    return mixed


def places(pages: Sequence[int | None], lengths: Sequence[int]) -> list[int]:
    """A number for the place of each of a document's chunks, in order: chunks of one place show about the
    same.

    A place is a page, and where there are none a stretch of about ``PLACE_CHARS`` characters (``lengths`` are
    the chunks').
    """
    numbers: list[int] = []
    seen: dict[tuple[str, int], int] = {}
    read = 0
    for page, length in zip(pages, lengths, strict=True):
        place = ("stretch", read // PLACE_CHARS) if page is None else ("page", page)
        numbers.append(seen.setdefault(place, len(seen)))
        read += length
    return numbers
