"""Vectors of short texts that come again and again: words, and the sentences of documents that are often
retrieved.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.encoder import Encoder

# 384 dimensions of float32 make 1.5 KiB a text: 30 MiB when full.
CAPACITY = 20_000


class VectorCache:
    """The vectors of the ``capacity`` texts used last, by the encoder's name; safe to use from several
    threads.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._vectors: OrderedDict[tuple[str, str], NDArray[np.float32]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._vectors)

    def encode(self, encoder: Encoder, fresh: Sequence[str], kept: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors of ``fresh`` and then ``kept``; only those of ``kept`` are stored. One call of the
        encoder.

        Texts are encoded as queries: that cuts what is too long for the model instead of refusing it.
        """
        name = encoder.name
        known: dict[str, NDArray[np.float32]] = {}
        with self._lock:
            for text in kept:
                if (vector := self._vectors.get((name, text))) is not None:
                    self._vectors.move_to_end((name, text))
                    known[text] = vector
        missing = [text for text in dict.fromkeys(kept) if text not in known]
        encoded = encoder.encode([*fresh, *missing], kind="query")
        known.update(zip(missing, encoded[len(fresh) :], strict=True))
        with self._lock:
            for text in missing:
                self._vectors[name, text] = known[text]
            while len(self._vectors) > self._capacity:
                self._vectors.popitem(last=False)
        if not kept:
            return encoded
        return np.concatenate([encoded[: len(fresh)], np.stack([known[text] for text in kept])])
