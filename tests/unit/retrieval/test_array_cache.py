"""Derivations are kept by the identity of arrays that cannot change, and of the last ones only."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.array_cache import ArrayCache


def frozen(*values: int) -> NDArray[np.int64]:
    array = np.array(values, dtype=np.int64)
    array.flags.writeable = False
    return array


class Sum:
    """Derives the sum of an array, and counts how often it had to."""

    def __init__(self, size: int) -> None:
        self.cache: ArrayCache[int] = ArrayCache(size)
        self.made = 0

    def __call__(self, array: NDArray[np.int64]) -> int:
        def derive() -> int:
            self.made += 1
            return int(array.sum())

        return self.cache.derived(array, derive)


def test_an_array_that_cannot_change_is_looked_at_once() -> None:
    total, one = Sum(4), frozen(1, 2)
    assert [total(one), total(one), total.made] == [3, 3, 1]
    assert [total(frozen(1, 2)), total.made] == [3, 2], "an equal array is another one"
    total.cache.clear()
    assert [total(one), total.made] == [3, 3]


def test_an_array_that_may_change_is_looked_at_each_time() -> None:
    total, one = Sum(4), np.array([1, 2])
    assert total(one) == 3
    one[0] = 5
    assert [total(one), total.made] == [7, 2]


def test_the_last_ones_are_kept() -> None:
    total = Sum(2)
    one, two, three = frozen(1), frozen(2), frozen(3)
    assert [total(each) for each in (one, two, one, three)] == [1, 2, 1, 3]
    assert total.made == 3
    assert [total(one), total.made] == [1, 3]
    assert [total(two), total.made] == [2, 4]


def test_the_place_in_memory_of_an_array_that_is_gone_says_nothing() -> None:
    total = Sum(1000)
    assert [total(frozen(n)) for n in range(500)] == list(range(500))


def test_what_cannot_be_derived_is_not_kept() -> None:
    cache, one = ArrayCache[int](2), frozen(1)

    def fail() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.derived(one, fail)
    assert cache.derived(one, lambda: 1) == 1
