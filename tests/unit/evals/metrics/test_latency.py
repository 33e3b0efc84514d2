import numpy as np
import pytest

from evals.metrics.latency import p95


def test_interpolates_between_order_statistics() -> None:
    # Position 0.95 * (5 - 1) = 3.8: 40 + 0.8 * (100 - 40).
    assert float(p95(np.array([10.0, 20.0, 30.0, 40.0, 100.0]))) == pytest.approx(88.0)
