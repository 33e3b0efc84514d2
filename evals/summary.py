"""From item scores to metrics, to the answered/abstained table, and to one line a kind of question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from evals.bootstrap import estimate
from evals.metrics import METRICS, Array, Metric
from evals.result import ItemResult, MetricValue
from retrieval.answers.answer import Status

_DIGITS = 6


def metric_rows(metric: Metric, items: Sequence[ItemResult]) -> Array:
    """The item scores that ``metric`` needs, shape ``(items that have them all, columns)``."""
    rows = [
        [item.scores[column] for column in metric.columns]
        for item in items
        if all(column in item.scores for column in metric.columns)
    ]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(metric.columns))


def summarise(items: Sequence[ItemResult], *, seed: int = 0) -> dict[str, MetricValue]:
    """Every metric that at least one item has scores for."""
    values: dict[str, MetricValue] = {}
    for name, metric in METRICS.items():
        rows = metric_rows(metric, items)
        if len(rows):
            found = estimate(metric, rows, seed=seed)
            interval = (_round(found.low), _round(found.high))
            values[name] = MetricValue(_round(found.value), interval, found.n, _round(found.mde))
    return values


def by_kind(items: Sequence[ItemResult]) -> dict[str, dict[str, float]]:
    """Each kind's number of items ``n`` and plain metric values, without intervals: kinds are too small
    for them.
    """
    groups: dict[str, list[ItemResult]] = defaultdict(list)
    for item in items:
        groups[item.gold.get("kind") or "(none)"].append(item)
    if len(groups) == 1:
        return {}
    table: dict[str, dict[str, float]] = {}
    for kind, members in sorted(groups.items()):
        line: dict[str, float] = {"n": len(members)}
        for name, metric in METRICS.items():
            rows = metric_rows(metric, members)
            if len(rows):
                line[name] = _round(float(metric.statistic(rows[None])[0]))
        table[kind] = line
    return table


def status_table(items: Sequence[ItemResult]) -> dict[str, dict[str, int]]:
    """Rows ``answerable`` and ``unanswerable``, columns ``answered``, ``partial`` and ``abstained``; empty
    if none was asked.
    """
    asked = [item for item in items if item.status is not None]
    if not asked:
        return {}
    table = {row: {status.value: 0 for status in Status} for row in ("answerable", "unanswerable")}
    for item in asked:
        table["answerable" if item.gold["answerable"] else "unanswerable"][str(item.status)] += 1
    return table


def _round(value: float) -> float:
    return round(value, _DIGITS)
