"""Token ids of an encoder's texts, and the model's input from them, without tokenizing a text twice."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer

from retrieval.terms import utf8

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_EXAMPLE = ["a text", "", "and a longer one, so that others are padded: café 😀 日本語"]


class TokenIds:
    """A model's tokenizer, for texts that are not to be cut. May be used from several threads.

    ``can_pad`` says whether ``features`` gives what the model's own ``preprocess`` would: it does for a
    plain transformer, and is found out by trying.
    """

    def __init__(self, model: SentenceTransformer) -> None:
        # A copy: preprocessing sets truncation on the model's own.
        self._tokenizer = copy.deepcopy(model.tokenizer)
        self._lock = threading.Lock()
        self._fast: Tokenizer | None = None
        self._constants: dict[str, Any] = {}
        reference = model.preprocess(_EXAMPLE)
        if isinstance(self._tokenizer, Tokenizer):
            # A model without a network, of a vector for each word: its input is not made of rows.
            self._fast = _uncut(self._tokenizer)
            self.can_pad = False
            return
        if getattr(self._tokenizer, "is_fast", False):
            # The library beneath takes a quarter less time, and needs no lock.
            fast = _uncut(self._tokenizer.backend_tokenizer)
            expected = self.rows(_EXAMPLE)
            if [encoding.ids for encoding in fast.encode_batch_fast(_EXAMPLE)] == expected:
                self._fast = fast
        self._constants = {name: v for name, v in reference.items() if not isinstance(v, torch.Tensor)}
        self._types = "token_type_ids" in reference
        self.can_pad = _same(self.features(self.rows(_EXAMPLE)), reference)

    def rows(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, the model's special tokens included."""
        clean = [utf8(text) for text in texts]
        if self._fast is not None:
            return [encoding.ids for encoding in self._fast.encode_batch_fast(clean)]
        with self._lock:
            ids: list[list[int]] = self._tokenizer(
                clean, truncation=False, padding=False, return_attention_mask=False, verbose=False
            )["input_ids"]
        return ids

    def count(self, texts: Sequence[str]) -> list[int]:
        """How many ids each text has."""
        if not texts:
            return []
        if self._fast is None:
            return [len(row) for row in self.rows(texts)]
        return [len(encoding) for encoding in self._fast.encode_batch_fast([utf8(text) for text in texts])]

    def features(self, rows: Sequence[Sequence[int]]) -> dict[str, Any]:
        """The model's input for texts with these ids, padded to the longest."""
        shape = (len(rows), max(len(row) for row in rows))
        ids = np.full(shape, self._tokenizer.pad_token_id or 0, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        found = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        if self._types:
            found["token_type_ids"] = torch.zeros(shape, dtype=torch.int64)
        return found | self._constants


def _uncut(tokenizer: Tokenizer) -> Tokenizer:
    """A copy that neither cuts nor pads."""
    copied = Tokenizer.from_str(tokenizer.to_str())
    copied.no_truncation()
    copied.no_padding()
    return copied


def _same(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    if set(ours) != set(theirs):
        return False
    return all(
        torch.equal(value, theirs[name]) if isinstance(value, torch.Tensor) else value == theirs[name]
        for name, value in ours.items()
    )
