"""Vectors of a text's tokens, as an encoder's network has them before it pools them into the text's one vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from retrieval.encoders.encoder import Kind


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """A text's tokens in their order, without the model's special and unknown ones.

    ``ids``: their places in the vocabulary, shape ``(n,)``; ``vectors``: unit vectors in their context, shape ``(n, dim)``.
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]


@runtime_checkable
class TokenEncoder(Protocol):
    """An encoder that also gives the vectors of a text's tokens. May be called from several threads."""

    @property
    def name(self) -> str:
        """See ``Encoder``."""
        ...

    def token_vectors(self, texts: Sequence[str], *, kind: Kind = "document") -> list[TokenVectors]:
        """The tokens of each text, cut at the model's window; raises ``NoTokenVectors`` where the model has none."""
        ...


class NoTokenVectors(Exception):  # noqa: N818 - an answer, not an error for a caller
    """The encoder gives a text one vector and its tokens none."""
