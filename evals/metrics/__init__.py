"""The metrics, one a file: what is measured of an item, and how the items' values become one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from evals.metrics.aurc import aurc
from evals.metrics.latency import p95

Array = NDArray[np.float64]


def _mean(samples: Array) -> Array:
    return np.asarray(samples[:, :, 0].mean(axis=1))


def _p95(samples: Array) -> Array:
    return p95(samples[:, :, 0])


def _aurc(samples: Array) -> Array:
    return np.array([aurc(sample[:, 0], sample[:, 1]) for sample in samples])


@dataclass(frozen=True, slots=True)
class Metric:
    """``columns`` name the item scores that it needs; ``statistic`` maps samples ``(resamples, items,
    columns)`` to one number each.
    """

    name: str
    columns: tuple[str, ...]
    statistic: Callable[[Array], Array] = _mean
    higher_is_better: bool = True


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("ndcg@10", ("ndcg@10",)),
            Metric("recall@10", ("recall@10",)),
            Metric("mrr@10", ("mrr@10",)),
            Metric("groundedness", ("groundedness",)),
            Metric("citation_precision", ("citation_precision",)),
            Metric("citation_recall", ("citation_recall",)),
            Metric("answer_facts", ("answer_facts",)),
            Metric("false_answer_rate", ("false_answer",), higher_is_better=False),
            Metric("over_refusal_rate", ("over_refusal",), higher_is_better=False),
            Metric("aurc", ("confidence", "loss"), _aurc, higher_is_better=False),
            Metric("latency_p95_ms", ("latency_ms",), _p95, higher_is_better=False),
        )
    }
)
