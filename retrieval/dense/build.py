"""Building an index over fixed vectors: exact if they are few, else the first type that reaches the recall target."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import faiss

from retrieval.dense.carry import DEARER, Carried, Earlier, carry, earlier_index
from retrieval.dense.gpu import Gpu
from retrieval.dense.kinds import (
    INDEX_FILE,
    KINDS,
    IndexKind,
    Progress,
    build,
    cost_per_row,
    exact_cost,
    index_cost,
    kind_of,
    open_index,
    write_index,
)
from retrieval.dense.report import FORMAT, DenseReport, RecallTarget, write_report
from retrieval.dense.stored import POSITIONS_FILE, VECTORS_FILE, Stored, Vectors, write_stored
from retrieval.dense.tuning import DEEP, Tuned, tune

_DEFAULT = RecallTarget()


def build_dense(
    folder: Path,
    vectors: Vectors,
    target: RecallTarget = _DEFAULT,
    *,
    threads: int | None = None,
    gpu: bool = False,
    progress: Progress | None = None,
    source: Path | None = None,
    carried: Carried | None = None,
) -> DenseReport:
    """Write an index over ``vectors`` (N, dim) into the empty ``folder``, for ``DenseFile.open``.

    Rows are unit vectors, or zeros where there is none; row p is found as position p. They are read in blocks, so a
    mapped array does not come into memory. The same vectors and target give the same index with the same number of
    ``threads`` (of FAISS; ``None``: all cores). With ``gpu`` the first GPU helps, and the files stay the same but for
    rounding. ``progress`` is called with a stage (``copy``, ``train``, ``add``, ``tune``), how much of it is done, and of
    how much. ``source`` is the ``.npy`` file that ``vectors`` are mapped from: where it can be, it is linked instead of
    copied (see ``write_stored``).
    how much. With ``carried``, an earlier index of most of these vectors, its lists are taken over where they still do.

    Raises ``ValueError`` for a wrong shape, or a row that is neither zeros nor a unit vector, and ``RuntimeError`` for ``gpu``
    without one. Nothing is synced to disk: who writes the generation does that.
    """
    if vectors.ndim != 2 or vectors.shape[1] < 1:
        raise ValueError(f"vectors have the shape {vectors.shape} and must have (n, dim)")
    started = time.perf_counter()
    tell = progress or (lambda _stage, _done, _of: None)
    helper = Gpu() if gpu else None
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads or before)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tell("copy", 0, len(vectors))
        stored = write_stored(folder, vectors, source)
        tell("copy", len(vectors), len(vectors))
        report = _carried(folder, stored, target, helper, tell, carried) or _chosen(
            folder, stored, target, helper, tell
        )
    finally:
        faiss.omp_set_num_threads(before)
    names = (VECTORS_FILE, POSITIONS_FILE, INDEX_FILE)
    files = {name: (folder / name).stat().st_size for name in names if (folder / name).is_file()}
    report = replace(
        report,
        count=len(vectors),
        empty=len(vectors) - len(stored),
        files=files,
        bytes=sum(files.values()),
        seconds=round(time.perf_counter() - started, 3),
    )
    write_report(folder, report)
    return report


def _carried(
    folder: Path, stored: Stored, target: RecallTarget, gpu: Gpu | None, tell: Progress, carried: Carried | None
) -> DenseReport | None:
    """The earlier index with what changed, tuned again; ``None`` where there is none that still does."""
    earlier = None if carried is None else earlier_index(carried, stored, target)
    if earlier is None or earlier.kind not in _in_turn(len(stored), target):
        return None
    kind = earlier.kind
    write_index(carry(earlier, stored, tell), folder)
    tell("tune", 0, 1)
    index = open_index(kind, folder, *stored.rows.shape)
    tuned = tune(kind, index, stored.rows, target, gpu, earlier.report.efforts)
    tell("tune", 1, 1)
    lists, (rows, dim) = earlier.report.lists, stored.rows.shape
    if (
        tuned.efforts
        and (target.kind is not None or _pays(kind, stored, tuned, lists))
        and cost_per_row(kind, rows, dim, tuned.efforts[0], lists) <= DEARER * earlier.trained_cost
    ):
        return _report(kind, stored, target, tuned, earlier.report.rejected, earlier)
    (folder / INDEX_FILE).unlink()
    return None


def _chosen(folder: Path, stored: Stored, target: RecallTarget, gpu: Gpu | None, tell: Progress) -> DenseReport:
    """The first type in turn that reaches the target; at last an exact search, which needs no index."""
    rejected: dict[str, float] = {}
    for kind in _in_turn(len(stored), target):
        index = build(kind, stored.rows, target.seed, gpu, tell)
        write_index(index, folder)
        del index
        tell("tune", 0, 1)
        tuned = tune(kind, open_index(kind, folder, *stored.rows.shape), stored.rows, target, gpu)
        tell("tune", 1, 1)
        if tuned.efforts and (target.kind is not None or _pays(kind, stored, tuned, kind.lists(len(stored)))):
            return _report(kind, stored, target, tuned, rejected)
        rejected[kind.name] = round(tuned.recall, 4)
        (folder / INDEX_FILE).unlink()
    return _report(None, stored, target, Tuned((), 1.0, 1.0), rejected)


def _in_turn(rows: int, target: RecallTarget) -> tuple[IndexKind, ...]:
    if rows == 0 or target.kind == "exact":
        return ()
    if target.kind is not None:
        return (kind_of(target.kind),)
    return KINDS if rows >= target.exact_below else ()


def _pays(kind: IndexKind, stored: Stored, tuned: Tuned, lists: int) -> bool:
    rows, dim = stored.rows.shape
    return index_cost(kind, rows, dim, tuned.efforts[0], lists) < exact_cost(rows, dim)


def _report(
    kind: IndexKind | None,
    stored: Stored,
    target: RecallTarget,
    tuned: Tuned,
    rejected: dict[str, float],
    earlier: Earlier | None = None,
) -> DenseReport:
    rows, dim = stored.rows.shape
    lists = 0 if kind is None else kind.lists(rows) if earlier is None else earlier.report.lists
    trained_rows, trained_cost = 0, 0.0
    if earlier is not None:
        trained_rows, trained_cost = earlier.trained_rows, earlier.trained_cost
    elif kind is not None and lists and tuned.efforts:
        trained_rows, trained_cost = rows, cost_per_row(kind, rows, dim, tuned.efforts[0], lists)
    return DenseReport(
        format=FORMAT,
        kind="exact" if kind is None else kind.name,
        factory="Flat" if kind is None else kind.factory(rows, lists),
        count=rows,
        empty=0,
        dim=dim,
        lists=lists,
        target=target,
        efforts=tuned.efforts,
        recall=round(tuned.recall, 4),
        recall_deep=round(tuned.recall_deep, 4),
        deep=DEEP * target.k,
        queries=0 if kind is None else target.sample // 2,
        rejected=rejected,
        files={},
        bytes=0,
        seconds=0.0,
        trained_rows=trained_rows,
        trained_cost=round(trained_cost, 3),
    )
