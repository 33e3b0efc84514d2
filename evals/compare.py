"""Two runs side by side: paired differences on their common items, and the items that changed sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from evals.bootstrap import paired_difference
from evals.metrics import METRICS
from evals.result import ItemResult, RunResult

_RIGHT = 0.5
_DIGITS = 6


class Difference(msgspec.Struct, frozen=True):
    """``after - before`` of a metric over the ``n`` items that both runs have scores for, with its 95 %
    interval.
    """

    before: float
    after: float
    value: float
    ci: tuple[float, float]
    n: int
    mde: float


class Flip(msgspec.Struct, frozen=True):
    """An item that was right in one run and wrong in the other."""

    id: str
    question: str
    now: str  # "right" or "wrong"
    before: str
    after: str


class Comparison(msgspec.Struct, frozen=True):
    """``settings`` are the recorded settings that differ, ``[before, after]``."""

    before: str
    after: str
    goldset: str
    items: int
    metrics: dict[str, Difference]
    flips: tuple[Flip, ...]
    settings: dict[str, tuple[Any, Any]]
    notes: tuple[str, ...] = ()


def compare(before: RunResult, after: RunResult, *, seed: int = 0) -> Comparison:
    """Compare on the items that both runs have, asked with the same gold."""
    pairs, changed = _pairs(before.items, after.items)
    left_out = max(len(before.items), len(after.items)) - len(pairs)
    notes: list[str] = []
    if left_out:
        notes.append(f"{left_out} items are not in both runs with the same gold ({changed} edited): left out")
    if before.goldset != after.goldset:
        notes.append(f"the runs are of different gold sets, {before.goldset!r} and {after.goldset!r}")
    flips = tuple(flip for old, new in pairs if (flip := _flip(old, new)) is not None)
    return Comparison(
        before=before.run,
        after=after.run,
        goldset=after.goldset,
        items=len(pairs),
        metrics=differences(pairs, seed=seed),
        flips=tuple(sorted(flips, key=lambda flip: (flip.now == "right", flip.id))),
        settings=_settings(before.config, after.config),
        notes=tuple(notes),
    )


def differences(pairs: Sequence[tuple[ItemResult, ItemResult]], *, seed: int = 0) -> dict[str, Difference]:
    """The paired difference of each metric that at least one pair has scores for on both sides."""
    found: dict[str, Difference] = {}
    for name, metric in METRICS.items():
        rows = [
            ([old.scores[c] for c in metric.columns], [new.scores[c] for c in metric.columns])
            for old, new in pairs
            if all(c in old.scores and c in new.scores for c in metric.columns)
        ]
        if not rows:
            continue
        before, after = (np.array(side, dtype=np.float64) for side in zip(*rows, strict=True))
        estimate = paired_difference(metric, before, after, seed=seed)
        found[name] = Difference(
            before=round(float(metric.statistic(before[None])[0]), _DIGITS),
            after=round(float(metric.statistic(after[None])[0]), _DIGITS),
            value=round(estimate.value, _DIGITS),
            ci=(round(estimate.low, _DIGITS), round(estimate.high, _DIGITS)),
            n=estimate.n,
            mde=round(estimate.mde, _DIGITS),
        )
    return found


def is_right(item: ItemResult) -> bool | None:
    """Whether an item came out right: unanswerable and abstained; answered with at most half its loss; or,
    where no answer was asked for, evidence found. ``None`` when nothing tells.
    """
    if item.error is not None:
        return False
    if item.status is None:
        recall = item.scores.get("recall@10")
        return None if recall is None else recall >= _RIGHT
    abstained = item.status == "abstained"
    if not item.gold["answerable"] or abstained:
        return abstained and not item.gold["answerable"]
    loss = item.scores.get("loss")
    return None if loss is None else loss <= _RIGHT


def _pairs(
    before: Sequence[ItemResult], after: Sequence[ItemResult]
) -> tuple[list[tuple[ItemResult, ItemResult]], int]:
    old = {item.id: item for item in before}
    shared = [(old[item.id], item) for item in after if item.id in old]
    same = [(left, right) for left, right in shared if left.gold == right.gold]
    return same, len(shared) - len(same)


def _flip(old: ItemResult, new: ItemResult) -> Flip | None:
    was, now = is_right(old), is_right(new)
    if was is None or now is None or was == now:
        return None
    return Flip(new.id, new.gold["question"], "right" if now else "wrong", _told(old), _told(new))


def _told(item: ItemResult) -> str:
    if item.error is not None:
        return f"error: {item.error}"
    if item.answer is not None:
        return f"{item.status}: {item.answer['text']}"
    return "found: " + (", ".join(dict.fromkeys(hit.external_id for hit in item.retrieved[:3])) or "nothing")


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = sorted(before.keys() | after.keys())
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}
