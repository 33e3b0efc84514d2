"""Searching while documents are replaced: the old version or the new one, never both, neither or half."""

import threading

import pytest

from retrieval.encoders.encoder import HashingEncoder
from retrieval.filters import DocumentFacts
from retrieval.view import IndexedChunk, new_view


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_a_search_sees_one_whole_version(mode):
    encoder = HashingEncoder()
    view = new_view("c", encoder.dim)
    text = "holiday allowance"
    vector = encoder.encode([text])[0]

    def put(version):
        chunks = [IndexedChunk(version * 10 + i, "", text, vector) for i in range(3)]
        view.put_document(DocumentFacts("leave", "leave", None, None, None, version), chunks)

    put(1)
    seen, done = [], threading.Event()

    def search():
        while not done.is_set():
            seen.append(tuple(sorted(hit.key for hit in view.search(text, vector, mode=mode))))

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for version in range(2, 60):
        put(version)
    done.set()
    for thread in threads:
        thread.join()
    versions = {tuple(version * 10 + i for i in range(3)) for version in range(1, 60)}
    assert seen
    assert set(seen) <= versions
    assert [keys[0] for keys in seen[-1:]] >= [10]


def test_threads_that_change_different_documents_lose_nothing():
    encoder = HashingEncoder()
    view = new_view("c", encoder.dim)
    vector = encoder.encode(["x"])[0]

    def work(number):
        for step in range(20):
            key = number * 1000 + step
            facts = DocumentFacts(f"{number}-{step}", "e", None, None, None, 1)
            view.put_document(facts, [IndexedChunk(key, "", f"x{key}", vector)])
            if step % 2:
                view.remove_document(f"{number}-{step}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = sorted(number * 1000 + step for number in range(4) for step in range(0, 20, 2))
    assert view.documents == 40
    assert view.vector_keys().tolist() == view.lexical_keys().tolist() == expected
