"""The best of a ranking read from its top."""

import numpy as np
import pytest

from retrieval.lexical.best import best

# Ten ids with their scores as a ranking gives them: 5 and 3 are equal, and so are 9, 1 and 2.
RANKING = [(7, 3.0), (5, 2.0), (3, 2.0), (8, 1.5), (9, 1.0), (1, 1.0), (2, 1.0), (4, 0.5)]


@pytest.fixture
def asked():
    return []


@pytest.fixture
def fetch(asked):
    def of(limit):
        asked.append(limit)
        top = RANKING[:limit]
        return np.array([id_ for id_, _ in top], dtype=np.int64), np.array([score for _, score in top])

    return of


def test_equal_scores_are_ordered_by_id(fetch):
    assert best(fetch, 3) == [(7, 3.0), (3, 2.0), (5, 2.0)]
    assert best(fetch, 5)[-1] == (1, 1.0)


def test_a_cut_through_equal_scores_is_read_on(monkeypatch, fetch, asked):
    monkeypatch.setattr("retrieval.lexical.best._SPARE", 0)
    assert best(fetch, 2) == [(7, 3.0), (3, 2.0)]
    assert asked == [2, 8]


def test_what_comes_in_order_is_not_read_on(fetch, asked):
    assert best(fetch, 2, in_order=True) == [(7, 3.0), (5, 2.0)]
    assert asked == [2]


def test_it_reads_on_until_enough_pass_or_there_is_no_more(monkeypatch, fetch, asked):
    monkeypatch.setattr("retrieval.lexical.best._SPARE", 0)
    assert best(fetch, 2, lambda ids: ids < 3, in_order=True) == [(1, 1.0), (2, 1.0)]
    assert asked == [2, 8]
    assert best(fetch, 9, lambda ids: ids < 3, share=0.5) == [(1, 1.0), (2, 1.0)]
    assert asked[2:] == [22]
    assert best(fetch, 1, lambda ids: ids > 99) == []
