"""The best of a ranking that is read from its top, when not all that is in it may be shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.int64]
Scores: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

_SPARE = 16
_GROWTH = 4


def best(
    fetch: Callable[[int], tuple[Ids, Scores]],
    k: int,
    accept: Callable[[Ids], Mask] | None = None,
    *,
    share: float = 1.0,
    in_order: bool = False,
) -> list[tuple[int, float]]:
    """The ``k`` best that ``accept`` lets pass, with their scores; of equal scores the lower id comes first, also at the cut.

    ``fetch(n)`` gives the ids and scores of the ``n`` best, fewer when that is all. It is asked for more until the answer is
    certain. ``share`` is the expected share that passes: it saves asking twice. ``in_order``: equal scores come by id.
    """
    limit = k if share >= 1.0 else math.ceil(1.2 * k / share)
    if accept is not None or not in_order:
        limit += _SPARE
    while True:
        ids, scores = fetch(limit)
        exhausted = len(ids) < limit
        last = scores[-1] if len(scores) else 0.0
        if accept is not None:
            passing = accept(ids)
            ids, scores = ids[passing], scores[passing]
        if exhausted or (len(ids) >= k and (in_order or scores[k - 1] > last)):
            order = np.lexsort((ids, -scores))[:k]
            return list(zip(ids[order].tolist(), scores[order].tolist(), strict=True))
        limit *= _GROWTH
