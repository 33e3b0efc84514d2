import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.facts.value_keys import OTHER, moment_key, number_key, sought_keys, stored_keys, text_key
from retrieval.filters import OPERATORS, acceptance, compares
from tests.documents import DATES, NUMBERS, SCALARS, scalars, values


def by_keys(actual, wanted, accept):
    return any(
        key[0] == sought[0] and accept((key > sought) - (key < sought))
        for key in stored_keys(actual)
        for sought in sought_keys(wanted)
    )


def test_keys_compare_as_the_values_do_in_every_pair():
    for actual, wanted, operator in itertools.product(
        [*SCALARS, datetime(2025, 6, 30, tzinfo=UTC)], SCALARS, OPERATORS
    ):
        accept = acceptance(operator)
        assert by_keys(actual, wanted, accept) == compares(actual, wanted, accept), (actual, operator, wanted)


@given(values | st.sampled_from(DATES) | st.datetimes(timezones=st.timezones()), scalars, st.sampled_from(OPERATORS))
def test_keys_compare_as_the_values_do(actual, wanted, operator):
    accept = acceptance(operator)
    assert by_keys(actual, wanted, accept) == compares(actual, wanted, accept)


@given(*[st.integers() | st.floats(allow_nan=False) | st.integers(2**52, 2**70) | st.sampled_from(NUMBERS)] * 2)
def test_numbers_are_ordered_exactly(a, b):
    assert (number_key(a) < number_key(b)) == (a < b)
    assert (number_key(a) == number_key(b)) == (a == b)


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        (2**53, 2**53 + 1),
        (2**53 - 1.0, 2**53),
        (-(10**401), -(10**400)),
        (float("-inf"), -(10**400)),
        (10**400, float("inf")),
        (1.7976931348623157e308, 2**1024),
        (-5e-324, 0),
    ],
)
def test_near_and_huge_numbers_stay_apart(smaller, larger):
    assert number_key(smaller) < number_key(larger)


def test_one_number_has_one_key():
    assert number_key(1) == number_key(1.0)
    assert number_key(0.0) == number_key(-0.0) == number_key(0)
    assert number_key(2**70) == number_key(float(2**70))


def test_texts_are_ordered_by_code_point():
    texts = ["", "a", "a\0", "ab", "é", "\ud800", "\uffff", "\U0001f600"]
    assert sorted(texts, key=text_key) == texts


def test_moments_of_different_zones_have_one_key():
    assert stored_keys("2025-06-30T02:00:00+02:00")[0] == stored_keys("2025-06-30")[0]
    assert moment_key(datetime(1, 1, 1, tzinfo=UTC)) == (1 << 63).to_bytes(8, "big")


def test_what_is_neither_text_number_nor_moment_is_never_sought():
    assert stored_keys({"a": 1}) == stored_keys([1]) == stored_keys(float("nan")) == (OTHER,)
    assert sought_keys(float("nan")) == ()
