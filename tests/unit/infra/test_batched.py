from infra.batched import batched


def test_lists_of_a_size_and_the_rest():
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batched(iter("ab"), 2)) == [["a", "b"]]
    assert list(batched([], 2)) == []
