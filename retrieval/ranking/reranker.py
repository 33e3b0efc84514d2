"""Rerankers: models that read a question and a passage together, which is slower than comparing vectors, and closer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from infra.errors import SettingsError
from retrieval.encoders.token_vectors import NoTokenVectors, TokenEncoder
from retrieval.ranking.late_interaction import LATE_INTERACTION, LateInteractionReranker
from retrieval.terms import utf8

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

    from retrieval.encoders.encoder import Encoder

NO_RERANKER = "none"
_BATCH_SIZE = 32


class Reranker(Protocol):
    """Scores passages for a query. Implementations may be called from several threads."""

    @property
    def name(self) -> str:
        """The model's identity."""
        ...

    def score(self, query: str, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Scores, one a text, whatever order they come in: the higher, the better the text fits ``query``.

        They are compared among these texts only, and may depend on which these are. What is beyond the model's window is not
        read.
        """
        ...


class CrossEncoderReranker:
    """A sentence-transformers cross-encoder with one output; make one with ``load_reranker``."""

    def __init__(self, model: CrossEncoder, name: str) -> None:
        self._model = model
        self._name = name
        # The tokenizer that the model owns is no more to be used by two threads at once than its device is.
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """See ``Reranker``."""
        return self._name

    def score(self, query: str, texts: Sequence[str], /) -> NDArray[np.float32]:
        """See ``Reranker``: the model's logits."""
        if not texts:
            return np.zeros(0, dtype=np.float32)
        import torch  # noqa: PLC0415 - takes seconds, and is loaded by now

        # Texts of like length go together, so that little is computed for padding.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        pairs = [(utf8(query), utf8(texts[place])) for place in order]
        with self._lock:
            found = self._model.predict(
                pairs, batch_size=_BATCH_SIZE, activation_fn=torch.nn.Identity(), show_progress_bar=False
            )
        logits = np.empty(len(texts), dtype=np.float32)
        logits[order] = np.asarray(found, dtype=np.float32).reshape(len(texts))
        return logits


def load_reranker(name_or_path: str | None, encoder: Encoder) -> Reranker | None:
    """Load a cross-encoder from a local folder or by its name on the hub; ``None`` and ``none`` give none.

    ``late-interaction`` compares the token vectors of ``encoder`` and loads nothing. Only a name on the hub uses the
    network. Raises ``SettingsError`` when the model cannot be loaded, gives more than one number for a pair, or has no
    vectors for tokens.
    """
    if name_or_path is None or name_or_path == NO_RERANKER:
        return None
    if name_or_path == LATE_INTERACTION:
        return _late_interaction(encoder)
    path = Path(name_or_path).expanduser()
    local = path.is_dir()
    if not local and (path.is_absolute() or name_or_path.startswith((".", "~")) or name_or_path.count("/") > 1):
        raise SettingsError(
            f"reranker: {name_or_path} is not a folder; give none, {LATE_INTERACTION}, the folder of a cross-encoder, or a"
            " model's name on the Hugging Face hub."
        )
    # Imported here because they take seconds, and without a reranker nobody need wait for them.
    from sentence_transformers import CrossEncoder  # noqa: PLC0415
    from transformers.utils import logging as transformers_logging  # noqa: PLC0415

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model: CrossEncoder = CrossEncoder(str(path) if local else name_or_path, local_files_only=local).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise SettingsError(f"reranker: {name_or_path} could not be loaded as a cross-encoder: {reason}") from error
    if model.num_labels != 1:
        raise SettingsError(
            f"reranker: {name_or_path} gives {model.num_labels} numbers for a pair; allowed: a cross-encoder that gives one."
        )
    return CrossEncoderReranker(model, path.resolve().name if local else name_or_path)


def _late_interaction(encoder: Encoder) -> Reranker:
    refused = SettingsError(
        f"reranker: {LATE_INTERACTION} needs an encoder that gives each token a vector, and {encoder.name} does not; give"
        " none or a cross-encoder."
    )
    if not isinstance(encoder, TokenEncoder):
        raise refused
    try:
        encoder.token_vectors(["token"])
    except NoTokenVectors:
        raise refused from None
    return LateInteractionReranker(encoder)
