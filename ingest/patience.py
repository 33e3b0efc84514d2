"""Work that there may not be enough memory for now, and a moment later there is."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TypeVar

# Other work may give back the memory that is missing.
_PATIENCE_S = (1.0, 5.0)
_T = TypeVar("_T")


def patiently(work: Callable[[], _T]) -> _T | None:
    """What ``work`` gives; ``None`` if there is not enough memory for it, even after a while."""
    for pause in (*_PATIENCE_S, None):
        try:
            return work()
        except MemoryError:
            if pause is None:
                return None
        gc.collect()
        time.sleep(pause)
    return None
