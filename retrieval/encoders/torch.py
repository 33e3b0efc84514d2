"""An encoder's network in PyTorch: runs every model, on a CPU or on a GPU."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

# On a CPU more gains nothing and leaves the cache; a GPU is idle with less.
_CPU_BATCH_TOKENS = 4096
_GPU_BATCH_TOKENS = 65536


class TorchRuntime:
    """Implements ``Runtime`` and ``TokenRuntime`` with the module as it was loaded.

    Documents are encoded by autocast in bfloat16 where the CPU or GPU multiplies it natively, in float16 on other GPUs
    (normalisations stay float32): a cosine of at least .9999 to float32. ``exact`` is float32.
    """

    name = "torch"
    parallel = 1

    def __init__(self, model: torch.nn.Module, device: torch.device) -> None:
        self._model = model
        self._device = device
        self._dtype = document_dtype(device)
        self._documents = threading.Lock()

    @property
    def precision(self) -> str:
        """See ``Runtime``."""
        return str(self._dtype).removeprefix("torch.")

    @property
    def batch_tokens(self) -> int:
        """See ``Runtime``."""
        return _GPU_BATCH_TOKENS if self._device.type == "cuda" else _CPU_BATCH_TOKENS

    def run(self, features: Mapping[str, Any], *, exact: bool) -> NDArray[np.float32]:
        """See ``Runtime``; one batch of documents at a time, as each uses all cores, but a query never waits for one."""
        return self._unit_vectors(features, "sentence_embedding", exact=exact)

    def run_tokens(self, features: Mapping[str, Any], *, exact: bool) -> NDArray[np.float32]:
        """See ``TokenRuntime``."""
        return self._unit_vectors(features, "token_embeddings", exact=exact)

    def _unit_vectors(self, features: Mapping[str, Any], output: str, *, exact: bool) -> NDArray[np.float32]:
        turn = contextlib.nullcontext() if exact else self._documents
        fast = not exact and self._dtype != torch.float32
        precision = torch.autocast(self._device.type, dtype=self._dtype) if fast else contextlib.nullcontext()
        with turn, torch.inference_mode(), precision:
            on_device = {k: v.to(self._device) if hasattr(v, "to") else v for k, v in features.items()}
            vectors = self._model(on_device)[output].float()
            unit = torch.nn.functional.normalize(vectors, p=2, dim=-1)
        return np.asarray(unit.cpu().numpy(), dtype=np.float32)


def document_dtype(device: torch.device) -> torch.dtype:
    """The fastest arithmetic of ``device`` that keeps a document's vector."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    capabilities = torch.cpu.get_capabilities()
    if device.type == "cpu" and (capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")):
        return torch.bfloat16
    return torch.float32
