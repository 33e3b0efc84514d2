"""An index over vectors of which most were in the index before: its lists and codes are taken over, not made again.

A code depends on its vector and on the centre of its list, so while the centres stay the old codes are those that a build would
make, and only new vectors are given to lists. What may go wrong is that the centres suit the collection less and less. So
they are found anew when the number of vectors has left the range of half to twice that which they were found for, when
the recall target is missed, and when a search that reaches it has become dearer (``DEARER``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from retrieval.dense.allowed import Rows
from retrieval.dense.kinds import INDEX_FILE, IndexKind, Progress, add_rows, cost_per_row, kind_of, open_index
from retrieval.dense.report import DenseReport, RecallTarget, read_report
from retrieval.dense.stored import Stored, open_stored

# How much dearer a row may become, by the lists visited and the candidates, before centres are found anew.
# ``bench/merge.py`` measures what replacing a part of a collection does.
DEARER = 1.25
_GROWN = 2.0


@dataclass(frozen=True, slots=True)
class Carried:
    """The folder of an earlier index, and for each of its positions where the same vector is now; -1 where it is gone."""

    folder: Path
    positions: Rows


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier index whose centres may still do: its type and report, and the row that each of its rows is now, or -1."""

    folder: Path
    kind: IndexKind
    report: DenseReport
    rows: Rows

    @property
    def trained_rows(self) -> int:
        """How many rows the centres were found for."""
        return self.report.trained_rows or self.report.rows

    @property
    def trained_cost(self) -> float:
        """What a search cost then: nanoseconds a row."""
        report = self.report
        return report.trained_cost or cost_per_row(self.kind, report.rows, report.dim, report.efforts[0], report.lists)


def earlier_index(carried: Carried, stored: Stored, target: RecallTarget) -> Earlier | None:
    """What can be taken over for ``stored``; ``None`` where an index must be trained anew.

    Raises ``ValueError`` where the earlier index is damaged.
    """
    report = read_report(carried.folder)
    if report.kind in ("exact", "hnsw_sq8") or report.target != target or report.dim != stored.rows.shape[1]:
        return None
    before = open_stored(carried.folder, report.rows, report.dim, report.empty > 0)
    now = carried.positions if before.positions is None else carried.positions[before.positions]
    if stored.positions is not None:
        place = np.minimum(np.searchsorted(stored.positions, now), len(stored) - 1)
        now = np.where(stored.positions[place] == now, place, -1)
    found = Earlier(carried.folder, kind_of(report.kind), report, now)
    return found if found.trained_rows / _GROWN <= len(stored) <= found.trained_rows * _GROWN else None


def carry(earlier: Earlier, stored: Stored, progress: Progress) -> Any:
    """The index over ``stored`` with the earlier centres; lists are in the order of rows, as a build leaves them."""
    old = open_index(earlier.kind, earlier.folder, earlier.report.rows, earlier.report.dim)
    fresh = np.ones(len(stored), dtype=np.bool_)
    fresh[earlier.rows[earlier.rows >= 0]] = False
    added, whole = _empty(earlier.folder), _empty(earlier.folder)
    add_rows(added, stored.rows, np.flatnonzero(fresh), added.quantizer, progress)
    for number in range(old.nlist):
        ids, codes = _list(old.invlists, number)
        now = earlier.rows[ids]
        new_ids, new_codes = _list(added.invlists, number)
        ids = np.concatenate([now[now >= 0], new_ids])
        codes = np.concatenate([codes[now >= 0], new_codes])
        order = np.argsort(ids)
        ids, codes = np.ascontiguousarray(ids[order]), np.ascontiguousarray(codes[order])
        if len(ids):
            whole.invlists.add_entries(number, len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(codes))
    whole.ntotal = len(stored)
    return whole


def _empty(folder: Path) -> Any:
    index = faiss.read_index(str(folder / INDEX_FILE))
    index.reset()
    return index


def _list(lists: Any, number: int) -> tuple[Rows, Any]:
    """The rows of a list, and their codes, (n, bytes)."""
    size = lists.list_size(number)
    if not size:
        return np.zeros(0, dtype=np.int64), np.zeros((0, lists.code_size), dtype=np.uint8)
    ids = faiss.rev_swig_ptr(lists.get_ids(number), size)
    codes = faiss.rev_swig_ptr(lists.get_codes(number), size * lists.code_size)
    return ids, codes.reshape(size, lists.code_size)
