import numpy as np

from retrieval.encoders.encoder import HashingEncoder
from retrieval.encoders.vector_cache import VectorCache


class Recording(HashingEncoder):
    def __init__(self) -> None:
        super().__init__(64)
        self.asked: list[list[str]] = []

    def encode(self, texts, *, kind="document"):  # type: ignore[no-untyped-def]
        self.asked.append(list(texts))
        return super().encode(texts, kind=kind)


def test_vectors_are_the_encoders_in_the_order_asked() -> None:
    encoder, cache = Recording(), VectorCache()
    first = cache.encode(encoder, ["a question"], ["one", "two", "one"])
    again = cache.encode(encoder, ["another"], ["two", "three"])
    np.testing.assert_array_equal(first, HashingEncoder(64).encode(["a question", "one", "two", "one"]))
    np.testing.assert_array_equal(again, HashingEncoder(64).encode(["another", "two", "three"]))
    assert encoder.asked == [["a question", "one", "two"], ["another", "three"]]


def test_the_texts_used_last_are_kept() -> None:
    encoder, cache = Recording(), VectorCache(capacity=2)
    cache.encode(encoder, [], ["one", "two"])
    cache.encode(encoder, [], ["one", "three"])
    assert len(cache) == 2
    cache.encode(encoder, [], ["one", "three", "two"])
    assert encoder.asked == [["one", "two"], ["three"], ["two"]]
