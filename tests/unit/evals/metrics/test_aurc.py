import numpy as np
import pytest

from evals.metrics.aurc import aurc, loss


def test_by_hand() -> None:
    # Ordered by confidence the losses are 0, 1, 0, 1; the risks 0, 1/2, 1/3, 1/2; their mean 1/3.
    confidence = np.array([0.2, 0.9, 0.5, 0.7])
    losses = np.array([1.0, 0.0, 0.0, 1.0])
    assert aurc(confidence, losses) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_a_confidence_that_knows_beats_one_that_does_not() -> None:
    losses = np.array([0.0, 0.0, 1.0])
    assert aurc(np.array([0.9, 0.8, 0.1]), losses) == pytest.approx(1 / 9)
    assert aurc(np.array([0.1, 0.2, 0.9]), losses) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)


def test_ties_take_the_mean_of_their_order() -> None:
    losses = np.array([1.0, 0.0])
    assert aurc(np.array([0.5, 0.5]), losses) == pytest.approx(0.5)
    assert aurc(np.array([0.5, 0.5]), losses[::-1]) == pytest.approx(0.5)


def test_losses() -> None:
    assert loss(False, None, None) == 1.0
    assert loss(True, 0.75, False) == 0.25
    assert loss(True, None, True) == 0.0
    assert loss(True, None, False) == 1.0
    assert loss(True, None, None) is None
