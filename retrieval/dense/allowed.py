"""Which of the stored vectors a search may find, in the forms that FAISS asks for, each made once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

_FEW = 2  # share of the rows, as 1/_FEW, below which a list of rows is faster for FAISS than a bitmap


class Allowed:
    """The rows marked in ``mask`` (one mark a row, which nobody changes), of which there are ``total``."""

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self.total = int(np.count_nonzero(mask))

    @cached_property
    def rows(self) -> Rows:
        """The rows themselves, ascending."""
        return np.flatnonzero(self.mask)

    @cached_property
    def selector(self) -> Any:
        """FAISS's selector for looking at all of them."""
        return faiss.IDSelectorArray(self.rows) if self.total * _FEW < len(self.mask) else self.bitmap

    @cached_property
    def bitmap(self) -> Any:
        """FAISS's selector that answers in constant time whether a row is one of them."""
        return faiss.IDSelectorBitmap(np.packbits(self.mask, bitorder="little"))  # type: ignore[call-arg, arg-type]  # Python's own
