import numpy as np
import pytest

from evals.bootstrap import estimate, mde, paired_difference, wilson
from evals.metrics import METRICS

RECALL = METRICS["recall@10"]


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide() -> None:
    values = np.random.default_rng(7).normal(0.5, 0.1, size=(400, 1))
    found = estimate(RECALL, values)
    error = float(values.std(ddof=1)) / 20
    assert found.value == pytest.approx(float(values.mean()))
    assert found.low == pytest.approx(found.value - 1.96 * error, abs=0.1 * error + 1e-3)
    assert found.high == pytest.approx(found.value + 1.96 * error, abs=0.1 * error + 1e-3)
    assert found.mde == pytest.approx(2.8016 * error, rel=0.05)
    assert found.n == 400


def test_same_seed_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(1).random((50, 1))
    assert estimate(RECALL, values, seed=3) == estimate(RECALL, values, seed=3)
    assert estimate(RECALL, values, seed=3).low != estimate(RECALL, values, seed=4).low


def test_no_certainty_from_ten_items_that_all_came_out_right() -> None:
    found = estimate(RECALL, column(*[1.0] * 10))
    # Wilson for 10 of 10 at 95 %: 1 / (1 + 1.96^2/10) = 0.7225.
    assert (found.low, found.high) == (pytest.approx(0.72247, abs=1e-4), 1.0)
    # 2.8016 standard errors, each 0.27753 / (2 * 1.95996).
    assert found.mde == pytest.approx(0.19835, abs=1e-4)


def test_wilson_by_hand() -> None:
    # 5 of 10: centre 0.5, half width 1.96/(1 + .38415) * sqrt(.025 + .0096) = 0.26341.
    low, high = wilson(5, 10)
    assert (low, high) == (pytest.approx(0.23659, abs=1e-4), pytest.approx(0.76341, abs=1e-4))


def test_mde_is_two_point_eight_standard_errors() -> None:
    assert mde(1.0) == pytest.approx(1.959964 + 0.841621, abs=1e-5)
    assert mde(0.5, power=0.9) == pytest.approx(0.5 * (1.959964 + 1.281552), abs=1e-5)


def test_pairing_removes_what_both_sides_share() -> None:
    before = np.random.default_rng(2).random((200, 1))
    found = paired_difference(RECALL, before, before + 0.02)
    assert found.value == pytest.approx(0.02)
    assert (found.low, found.high) == (pytest.approx(0.02), pytest.approx(0.02))
    assert estimate(RECALL, before).high - estimate(RECALL, before).low > 0.05


def test_identical_runs_differ_by_exactly_nothing() -> None:
    rows = column(0, 1, 0, 1, 1)
    found = paired_difference(RECALL, rows, rows)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_statistics_other_than_means() -> None:
    latency = estimate(METRICS["latency_p95_ms"], column(10, 20, 30, 40, 100))
    assert latency.value == pytest.approx(88.0)
    assert 10 <= latency.low < latency.value <= latency.high == 100.0
    risk = estimate(METRICS["aurc"], np.array([[0.9, 0.0], [0.7, 1.0], [0.5, 0.0], [0.2, 1.0]]))
    assert risk.value == pytest.approx(1 / 3)
    assert 0.0 <= risk.low < risk.value < risk.high <= 1.0
