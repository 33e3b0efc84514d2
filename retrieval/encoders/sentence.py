"""A sentence-transformers model as an encoder, which besides this file only the answer scorer and the reranker know."""

from __future__ import annotations

import hashlib
import itertools
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from infra.errors import SettingsError
from retrieval.encoders.runtime import Runtime, TokenRuntime, batches_of, run_in_halves, run_in_parts
from retrieval.encoders.token_vectors import NoTokenVectors, TokenVectors
from retrieval.encoders.tokens import TokenIds
from retrieval.encoders.torch import TorchRuntime
from retrieval.terms import utf8

if TYPE_CHECKING:
    from retrieval.encoders.encoder import Kind

# The window assumed for a model that states none.
_UNSTATED_WINDOW = 512
# Texts in a batch, however short they are.
_MOST_TEXTS = 256
_QUERY_BATCH_TOKENS = 2048


class SentenceEncoder:
    """Implements ``Encoder`` and ``TokenEncoder``: the model's tokenizer and prompts around a runtime.

    Make one with ``load_encoder``. ``tokens`` is asked for the runtime of token vectors when the first of them are wanted.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        name: str,
        runtime: Runtime,
        tokens: Callable[[], TokenRuntime] | None = None,
    ) -> None:
        self._model = model
        self._name = name
        self._runtime = runtime
        self._open_token_runtime = tokens or (lambda: TorchRuntime(model, torch.device(model.device)))
        self._token_runtime: TokenRuntime | None = None
        self._opening = threading.Lock()
        self._query_prompt = model.prompts.get("query") or ""
        self._document_prompt = model.prompts.get("document") or model.prompts.get("passage") or ""
        # Preprocessing sets truncation and padding on the model's tokenizer.
        self._preprocessing = threading.Lock()
        self._tokens = TokenIds(model)
        stated = model.max_seq_length
        self._window = int(stated) if stated and math.isfinite(stated) else _UNSTATED_WINDOW
        empty, query, document = self.count_tokens(["", self._query_prompt, self._document_prompt])
        self._prompt_tokens: dict[Kind, int] = {"query": query - empty, "document": document - empty}
        self._max_tokens = self._window - self._prompt_tokens["document"]
        self._dim = len(self.encode(["dimension"], kind="query")[0])

    @property
    def name(self) -> str:
        """See ``Encoder``."""
        return self._name

    @property
    def dim(self) -> int:
        """See ``Encoder``."""
        return self._dim

    @property
    def max_tokens(self) -> int:
        """See ``Encoder``; what the model's document prompt takes of the window is already subtracted."""
        return self._max_tokens

    @property
    def precision(self) -> str:
        """See ``Encoder``."""
        return self._runtime.precision

    @property
    def runtime(self) -> str:
        """See ``Encoder``."""
        return self._runtime.name

    def encode(self, texts: Sequence[str], *, kind: Kind = "document") -> NDArray[np.float32]:
        """See ``Encoder``; the model's own query and document prompts are put before the texts."""
        if not texts:
            return np.zeros((0, self._dim), dtype=np.float32)
        if kind == "query":
            # A text has hardly more tokens than characters; counting them would cost more than padding does.
            lengths = [min(len(text), self._window) for text in texts]
            parts = [
                (batch, self._embed([texts[i] for i in batch], exact=True))
                for batch in batches_of(lengths, _QUERY_BATCH_TOKENS, _MOST_TEXTS)
            ]
        else:
            rows = self._checked_rows(texts)
            batches = batches_of([len(row) for row in rows], self._runtime.batch_tokens, _MOST_TEXTS)
            with ThreadPoolExecutor(self._runtime.parallel) as pool:
                found = pool.map(lambda batch: self._embed_documents(texts, rows, batch), batches)
                parts = list(zip(batches, found, strict=True))
        vectors = np.empty((len(texts), parts[0][1].shape[1]), dtype=np.float32)
        for batch, part in parts:
            vectors[batch] = part
        return vectors

    def _checked_rows(self, texts: Sequence[str]) -> list[list[int]]:
        rows = self._tokens.rows(texts)
        longest = max(range(len(rows)), key=lambda place: len(rows[place]))
        if len(rows[longest]) > self.max_tokens:
            raise ValueError(
                f"text {longest} has {len(rows[longest])} tokens and the encoder's window is"
                f" {self.max_tokens}: split documents before encoding them"
            )
        return rows

    def _embed_documents(
        self, texts: Sequence[str], rows: Sequence[Sequence[int]], batch: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        if self._document_prompt or not self._tokens.can_pad:
            return self._embed([texts[i] for i in batch], exact=False)

        def run(part: NDArray[np.intp]) -> NDArray[np.float32]:
            return self._runtime.run(self._tokens.features([rows[i] for i in part]), exact=False)

        return run_in_halves(run, batch)

    def _embed(self, texts: Sequence[str], *, exact: bool) -> NDArray[np.float32]:
        # preprocess and forward rather than model.encode: half of its time for a single query is Python around them.
        kind: Kind = "query" if exact else "document"
        return run_in_halves(lambda part: self._runtime.run(self._features(part, kind), exact=exact), texts)

    def _features(self, texts: Sequence[str], kind: Kind) -> dict[str, Any]:
        """The model's input for texts with its prompt for their kind, cut at its window."""
        prompt = self._query_prompt if kind == "query" else self._document_prompt
        with self._preprocessing:
            features: dict[str, Any] = self._model.preprocess([utf8(text) for text in texts], prompt=prompt or None)
        return features

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See ``Encoder``."""
        return self._tokens.count(texts)

    def token_vectors(self, texts: Sequence[str], *, kind: Kind = "document") -> list[TokenVectors]:
        """See ``TokenEncoder``."""
        if not texts:
            return []
        with self._opening:
            if self._token_runtime is None:
                self._token_runtime = self._open_token_runtime()
        runtime = self._token_runtime
        found: list[TokenVectors | None] = [None] * len(texts)
        prompt = self._prompt_tokens[kind]
        lengths = [min(prompt + count, self._window) for count in self.count_tokens(texts)]
        for batch in batches_of(lengths, runtime.batch_tokens, _MOST_TEXTS):
            parts = run_in_parts(lambda part: self._tokens_of(runtime, [texts[place] for place in part], kind), batch)
            for place, tokens in zip(batch, itertools.chain(*parts), strict=True):
                found[place] = tokens
        return [tokens for tokens in found if tokens is not None]

    def _tokens_of(self, runtime: TokenRuntime, texts: Sequence[str], kind: Kind) -> list[TokenVectors]:
        features = self._features(texts, kind)
        try:
            ids, mask = features["input_ids"].numpy(), features["attention_mask"].numpy()
            vectors = runtime.run_tokens(features, exact=kind == "query")
        except KeyError as missing:
            raise NoTokenVectors(self._name) from missing
        of_text = mask.astype(bool) & ~np.isin(ids, self._model.tokenizer.all_special_ids)
        # The prompt says the same of every text.
        kept = [np.flatnonzero(row)[self._prompt_tokens[kind] :] for row in of_text]
        return [TokenVectors(ids[row, own], vectors[row, own]) for row, own in enumerate(kept)]


def load_model(source: str, *, local: bool) -> SentenceTransformer:
    """Load a model from a folder, or from the hub unless ``local``; raises ``SettingsError``."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model: SentenceTransformer = SentenceTransformer(source, local_files_only=local).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise SettingsError(
            f"encoder: {source} could not be loaded as a sentence-transformers model: {reason}"
        ) from error
    return model


def weights_hash(model: SentenceTransformer) -> str:
    """Eight hex digits over weights, module layout and prompts: whatever changes a vector changes this."""
    digest = hashlib.sha256(f"{model}\0{sorted(model.prompts.items())}\0{model.max_seq_length}".encode())
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # numpy has no bfloat16; float32 holds every bfloat16 and float16 exactly.
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:8]
