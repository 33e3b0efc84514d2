import numpy as np
import pytest

from evals.cross_validation import cross_validate


def test_each_fold_is_scored_with_what_was_best_on_the_others():
    # By the means of the others: without item 0, settings have 0, 1.5/3 and 0; without 1 they have 0, .5, 1/3; ...
    scores = np.array([[0.0, 0.0, 1.0], [0.0, 0.5, 0.0], [0.0, 0.5, 0.0], [0.0, 0.5, 0.0]])
    choice = cross_validate(scores, folds=4)
    # Without 0: best is 1, which has 0 there. Without another: 1 (1.0 in all) and 2 (1.0) are equal, so the first.
    assert choice.after == pytest.approx((0.0 + 0.5 + 0.5 + 0.5) / 4)
    assert (choice.chosen, choice.before, choice.gain.value) == (1, 0.0, pytest.approx(0.375))
    assert choice.gain.low <= choice.gain.value <= choice.gain.high


def test_a_setting_that_is_only_lucky_gains_nothing():
    rng = np.random.default_rng(3)
    scores = rng.random((60, 40))
    choice = cross_validate(scores)
    lucky = scores[:, choice.chosen].mean() - scores[:, 0].mean()
    assert lucky > 0.05
    assert choice.gain.value < lucky
    assert choice.gain.low < 0.0


def test_a_setting_that_is_better_everywhere_is_found():
    scores = np.full((40, 3), 0.5)
    scores[:, 2] += np.linspace(0.1, 0.2, 40)
    choice = cross_validate(scores)
    assert choice.chosen == 2
    assert choice.gain.value == pytest.approx(0.15)
    assert choice.gain.low > 0.13


def test_of_equal_settings_the_one_in_force_is_kept():
    scores = np.full((10, 3), 0.5)
    choice = cross_validate(scores, current=1)
    assert (choice.chosen, choice.gain.value) == (1, 0.0)


def test_too_few_items():
    with pytest.raises(ValueError, match="4 items cannot be drawn into 5 folds"):
        cross_validate(np.zeros((4, 2)))
