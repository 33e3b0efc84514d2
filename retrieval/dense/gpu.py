"""A GPU for building an index and for searching many queries at once; the files are the same with and without.

FAISS's GPU indexes know neither RaBitQ codes nor filters. So the GPU does what costs most of a build, finding the nearest of many
centroids (training, filling) and the true neighbours that recall is measured against, and it scans all vectors for a batch of
queries without a filter.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from retrieval.dense.stored import BLOCK, Vectors

# The most results that FAISS's GPU search gives for a query.
MOST_RESULTS = 2048


class Gpu:
    """The first GPU, through the package ``faiss-gpu``; ``RuntimeError`` where either is missing.

    ``module`` is FAISS; tests put something in its place.
    """

    def __init__(self, module: Any = faiss) -> None:
        if not (hasattr(module, "StandardGpuResources") and module.get_num_gpus() > 0):
            raise RuntimeError("gpu=True needs the package faiss-gpu and a GPU that it can use")
        self._module = module
        self._resources = module.StandardGpuResources()

    def flat(self, dim: int) -> Any:
        """An empty exact index for inner products on the GPU."""
        return self._module.GpuIndexFlatIP(self._resources, dim)

    def copy(self, index: Any) -> Any:
        """A copy of ``index`` on the GPU."""
        return self._module.index_cpu_to_gpu(self._resources, 0, index)

    def load(self, rows: Vectors) -> Any:
        """All of ``rows`` (n, dim) in an exact index on the GPU; ``RuntimeError`` where its memory is too small."""
        index = self.flat(rows.shape[1])
        try:
            for start in range(0, len(rows), BLOCK):
                index.add(np.ascontiguousarray(rows[start : start + BLOCK]))
        except RuntimeError as error:
            size = f"{rows.nbytes / 2**30:.1f} GiB"
            raise RuntimeError(f"the GPU could not hold {len(rows)} vectors of {size} in all: {error}") from error
        return index
