import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.positions import count_positions, position_mask, positions_of

# Documents with 2, 0, 3 and 1 chunks.
STARTS = np.array([0, 2, 2, 5, 6])


def mask(*documents):
    return np.array(documents, dtype=np.bool_)


def test_a_document_has_the_positions_of_its_chunks():
    documents = mask(False, True, True, False)
    assert positions_of(documents, STARTS).tolist() == [2, 3, 4]
    assert count_positions(documents, STARTS) == 3
    assert position_mask(documents, STARTS).tolist() == [False, False, True, True, True, False]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=40))
def test_all_three_agree_with_a_loop(documents):
    starts = np.concatenate([[0], np.cumsum([count for _, count in documents], dtype=np.int64)]).astype(np.int64)
    chosen = mask(*[passes for passes, _ in documents])
    expected = [passes for passes, count in documents for _ in range(count)]
    assert position_mask(chosen, starts).tolist() == expected
    assert positions_of(chosen, starts).tolist() == np.flatnonzero(expected).tolist()
    assert count_positions(chosen, starts) == sum(expected)


def test_few_and_many_documents_give_the_same_kind_of_mask():
    starts = np.arange(0, 303, 3)
    for documents in (np.arange(100) == 7, np.arange(100) != 7):
        found = position_mask(documents, starts)
        assert found.dtype == np.bool_
        assert found.shape == (300,)
        assert not found.flags.writeable
        assert found.sum() == 3 * documents.sum()


def test_starts_of_other_documents_are_refused():
    with pytest.raises(ValueError, match="5 starts were given for 3 documents"):
        position_mask(mask(True, True, True), STARTS)
