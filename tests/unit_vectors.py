"""Vectors for tests of the dense index, and the exact answers by plain numpy."""

import numpy as np

DIM = 32


def clustered(count, seed=0, dim=DIM, clusters=30):
    """Unit vectors in clusters, as those of texts are."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, dim))
    vectors = centres[rng.integers(clusters, size=count)] + 0.7 * rng.normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def questions(vectors, count, seed=1):
    """Unit vectors near some of ``vectors``."""
    rng = np.random.default_rng(seed)
    made = vectors[rng.integers(len(vectors), size=count)] + 0.1 * rng.normal(size=(count, vectors.shape[1]))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def brute(vectors, query, k, allowed=None):
    """The k best positions that are allowed and hold a vector, by falling cosine and then by position; and the cosines."""
    there = vectors.any(axis=1) if allowed is None else allowed & vectors.any(axis=1)
    positions = np.flatnonzero(there)
    cosines = (vectors[positions].astype(np.float64) * query.astype(np.float64)).sum(axis=1).astype(np.float32)
    order = np.lexsort((positions, -cosines))[:k]
    return positions[order], cosines[order]


def recall(index, vectors, queries, k, allowed=None):
    """The share of the true k best that the index finds."""
    found, _ = index.search(queries, k, allowed)
    true = [brute(vectors, query, k, allowed)[0] for query in queries]
    return np.mean([len(set(mine) & set(want)) / len(want) for mine, want in zip(found.tolist(), true, strict=True)])
