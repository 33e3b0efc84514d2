"""The dense index in memory: vectors by key, searched exactly by cosine."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.array_cache import ArrayCache
from retrieval.dense.threads import threads_for

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

_SELECTORS_KEPT = 64


class DenseIndex(Protocol):
    """Vectors of one length by int64 key. Implementations may be called from several threads."""

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Add unit vectors, shape ``(len(keys), dim)``; a key that is there is replaced.

        Raises ``ValueError`` for a wrong shape, for a vector that is not of length 1 (within .001) or not
        finite, and for a key that is given twice.
        """
        ...

    def remove(self, keys: Keys) -> int:
        """Remove keys, those that are there, and say how many were."""
        ...

    def search(self, queries: Vectors, k: int, allowed: Keys | None = None) -> tuple[Keys, Vectors]:
        """The ``k`` best keys of each query, best first, with their cosine in [-1, 1].

        ``queries`` has the shape ``(q, dim)``, both answers ``(q, k)``; where fewer than ``k`` were found the
        key is -1 and the score ``-inf``. With ``allowed`` nothing else is scored: the answer is the exact
        best of those keys.
        """
        ...

    def keys(self) -> Keys:
        """All keys, ascending."""
        ...

    def __len__(self) -> int:
        """How many vectors there are."""
        ...


class FaissDense:
    """An exact index, ``IndexIDMap2(IndexFlatIP)``; with ``gpu=True`` unfiltered searches run on the first
    GPU.

    FAISS is not safe to change while it searches, so one lock guards both; a search uses all cores by itself.
    FAISS's GPU indexes cannot filter by key, so the vectors stay in main memory, where filtered searches run,
    and the GPU holds a copy that is renewed by the first search after a change. ``gpu=True`` without a GPU
    build of FAISS, or without a GPU, raises ``RuntimeError``.
    """

    def __init__(self, dim: int, *, gpu: bool = False) -> None:
        if gpu and not (hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0):
            raise RuntimeError("gpu=True needs the package faiss-gpu and a GPU that it can use")
        self._dim = dim
        self._lock = threading.Lock()
        self._flat = faiss.IndexFlatIP(dim)
        self._index = faiss.IndexIDMap2(self._flat)
        self._keys: set[int] = set()
        self._gpu_resources = faiss.StandardGpuResources() if gpu else None
        self._gpu_copy: Any = None
        self._selectors: ArrayCache[Any] = ArrayCache(_SELECTORS_KEPT)

    @property
    def dim(self) -> int:
        """See ``DenseIndex``."""
        return self._dim

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """See ``DenseIndex``."""
        keys, vectors = checked(keys, vectors, self._dim)
        new = set(keys.tolist())
        with self._lock:
            self._remove(new & self._keys)
            self._index.add_with_ids(vectors, keys)
            self._keys |= new
            self._gpu_copy = None

    def remove(self, keys: Keys) -> int:
        """See ``DenseIndex``."""
        with self._lock:
            present = set(_keys(keys).tolist()) & self._keys
            self._remove(present)
            return len(present)

    def _remove(self, present: set[int]) -> None:
        if present:
            listed = np.fromiter(present, dtype=np.int64, count=len(present))
            self._index.remove_ids(faiss.IDSelectorBatch(listed))
            self._keys -= present
            self._gpu_copy = None

    def search(self, queries: Vectors, k: int, allowed: Keys | None = None) -> tuple[Keys, Vectors]:
        """See ``DenseIndex``."""
        queries = _matrix(queries, self._dim)
        found = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        with self._lock:
            depth = min(k, len(self._keys) if allowed is None else min(len(allowed), len(self._keys)))
            if depth > 0 and len(queries):
                with threads_for(len(queries)):
                    if allowed is None:
                        near, ids = self._searchable().search(queries, depth)
                    else:
                        parameters = faiss.SearchParameters()
                        parameters.sel = self._selectors.derived(allowed, lambda: faiss.IDSelectorBatch(_keys(allowed)))
                        near, ids = self._index.search(queries, depth, params=parameters)
                found[:, :depth] = ids
                scores[:, :depth] = np.where(ids >= 0, np.clip(near, -1.0, 1.0), -np.inf)
        return found, scores

    def _searchable(self) -> Any:
        if self._gpu_resources is None:
            return self._index
        if self._gpu_copy is None:
            on_gpu = faiss.index_cpu_to_gpu(self._gpu_resources, 0, self._flat)
            self._gpu_copy = faiss.IndexIDMap(on_gpu)
            self._gpu_copy.id_map.resize(0)
            faiss.copy_array_to_vector(faiss.vector_to_array(self._index.id_map), self._gpu_copy.id_map)
            self._gpu_copy.ntotal = self._index.ntotal
        return self._gpu_copy

    def keys(self) -> Keys:
        """See ``DenseIndex``."""
        with self._lock:
            return np.sort(faiss.vector_to_array(self._index.id_map)).astype(np.int64)

    def __len__(self) -> int:
        """See ``DenseIndex``."""
        with self._lock:
            return int(self._index.ntotal)


def checked(keys: Keys, vectors: Vectors, dim: int) -> tuple[Keys, Vectors]:
    """Keys and vectors as an index takes them in; raises ``ValueError`` as ``DenseIndex.add`` says."""
    keys, vectors = _keys(keys), _matrix(vectors, dim)
    if len(keys) != len(vectors):
        raise ValueError(f"{len(keys)} keys and {len(vectors)} vectors were given: there must be one of each")
    if len(np.unique(keys)) != len(keys):
        raise ValueError("a key was given twice")
    if keys.size and keys.min() < 0:
        raise ValueError("keys must not be negative: -1 marks a place without a hit")
    if not np.all(np.abs(np.linalg.norm(vectors, axis=1) - 1.0) <= 1e-3):
        raise ValueError("vectors must be finite and of length 1")
    return keys, vectors


def _keys(keys: Keys) -> Keys:
    return np.ascontiguousarray(keys, dtype=np.int64).reshape(-1)


def _matrix(vectors: Vectors, dim: int) -> Vectors:
    matrix = np.ascontiguousarray(vectors, dtype=np.float32)
    if matrix.ndim != 2 or matrix.shape[1] != dim:
        raise ValueError(f"vectors have the shape {matrix.shape} and must have (n, {dim})")
    return matrix
