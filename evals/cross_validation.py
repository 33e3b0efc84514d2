"""Cross-validation of a choice: what choosing the best of several settings on one part of the items gains on the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evals.bootstrap import Estimate, paired_difference
from evals.metrics import METRICS, Array

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Choice:
    """``chosen``: the best setting on all items. ``gain``: of settings chosen without an item, over the one in force, on that
    item; ``before`` and ``after`` are the means that it is the difference of.
    """

    chosen: int
    before: float
    after: float
    gain: Estimate


def cross_validate(scores: Array, current: int = 0, *, folds: int = FOLDS, seed: int = 0) -> Choice:
    """Choose among settings by their mean of ``scores``, shape ``(items, settings)``; ``current`` is the one in force.

    Items are drawn into ``folds`` of about equal size. Those of each are scored with the setting that is best on the others
    (Stone, "Cross-Validatory Choice and Assessment of Statistical Predictions", JRSS B 36, 1974), so the gain holds for
    questions that the choice was not made on. The interval is the paired bootstrap's over the items. Of equal settings the
    one in force is kept, else the first is taken.
    """
    items = len(scores)
    if not 2 <= folds <= items:
        raise ValueError(f"{items} items cannot be drawn into {folds} folds")
    before, after = scores[:, current], np.empty(items)
    order = np.random.default_rng(seed).permutation(items)
    for fold in range(folds):
        held_out = order[fold::folds]
        others = np.delete(order, np.s_[fold::folds])
        after[held_out] = scores[held_out, _best(scores[others], current)]
    gain = paired_difference(METRICS["ndcg@10"], before[:, None], after[:, None], seed=seed)
    return Choice(_best(scores, current), float(before.mean()), float(after.mean()), gain)


def _best(scores: Array, current: int) -> int:
    # Rounded, as the order of a sum must not decide between equals.
    means = np.round(scores.mean(axis=0), 12)
    return current if means[current] == means.max() else int(means.argmax())
