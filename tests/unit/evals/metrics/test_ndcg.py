from math import log2

import pytest

from evals.metrics.ndcg import ndcg


def test_linear_gain_by_hand() -> None:
    # DCG = 3/1 + 2/log2(3) + 0 + 1/log2(5) = 3 + 1.26186 + 0.43068 = 4.69254
    # ideal order 3, 3, 2, 1: 3 + 1.89279 + 1 + 0.43068 = 6.32346
    assert ndcg([3, 2, 0, 1], [3, 3, 2, 1]) == pytest.approx(0.742083, abs=1e-6)


def test_only_the_first_k_count_on_both_sides() -> None:
    assert ndcg([0, 0, 1], [1], k=2) == 0.0
    # Eleven relevant, the first ten found: as good as it can be.
    assert ndcg([1] * 10, [1] * 11) == 1.0


def test_a_hit_at_rank_two_is_discounted_by_log2_of_three() -> None:
    assert ndcg([0, 1], [1]) == pytest.approx(1 / log2(3))


def test_the_gain_is_not_exponential() -> None:
    # With 2^grade - 1 this would be (1 + 3/log2 3) / (3 + 1/log2 3) = 0.797.
    assert ndcg([1, 2], [2, 1]) == pytest.approx((1 + 2 / log2(3)) / (2 + 1 / log2(3)))
