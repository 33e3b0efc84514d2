import numpy as np
import pytest

from retrieval.surroundings import places, surrounded_vectors, surrounding_texts

X, Y, Z = np.eye(3, dtype=np.float32)


def test_texts_of_the_neighbours():
    assert surrounding_texts(["a", "b", "c", "d"]) == ["a\nb", "a\nb\nc", "b\nc\nd", "c\nd"]
    assert surrounding_texts(["a"]) == ["a"]
    assert surrounding_texts([]) == []


def test_what_two_neighbours_share_is_in_their_surroundings_once():
    texts = ["one two", "two three", "three four"]
    assert surrounding_texts(texts, [0, 4, 6]) == ["one two\nthree", "one two\nthree\nfour", "two three\nfour"]


def test_vectors_hold_a_share_of_their_neighbours():
    first, middle, last = surrounded_vectors([X, Y, Z], neighbour_weight=0.5)
    assert first == pytest.approx(np.array([1, 0.5, 0]) / np.sqrt(1.25))
    assert middle == pytest.approx(np.array([0.5, 1, 0.5]) / np.sqrt(1.5))
    assert last == pytest.approx(np.array([0, 0.5, 1]) / np.sqrt(1.25))
    assert first.dtype == np.float32


def test_a_chunk_alone_keeps_its_vector():
    (alone,) = surrounded_vectors([X])
    assert alone == pytest.approx(X)


def test_a_chunk_without_a_vector_gives_none_to_its_neighbours():
    first, missing, last = surrounded_vectors([X, None, Z])
    assert missing is None
    assert first == pytest.approx(X)
    assert last == pytest.approx(Z)


def test_places_are_pages_where_there_are_pages():
    assert places([1, 1, 2, 2, 1], [10] * 5) == [0, 0, 1, 1, 0]


def test_places_are_stretches_of_a_page_s_length_where_there_are_none():
    assert places([None] * 5, [1000] * 5) == [0, 0, 0, 1, 1]
    assert places([None, 3, None], [10, 10, 10]) == [0, 1, 0]
