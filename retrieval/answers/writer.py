"""The seam behind which drafts are written: by a model server, or by the built-in extractive writer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from infra.errors import Unavailable
from retrieval.passage import Passage

Audience = Literal["internal", "customer"]


class GeneratorUnavailable(Unavailable):
    """The model server is down, too slow, or answered with something that is no text.

    ``code`` is one of ``generator_down``, ``generator_timeout``, ``generator_garbage``, ``generator_interrupted``.
    """

    default_code = "generator_down"


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be written: an answer to ``question`` from ``passages`` (best first) and nothing else."""

    question: str
    passages: Sequence[Passage]
    history: Sequence[Turn] = ()
    audience: Audience = "internal"


class DraftPieces(Protocol):
    """The pieces of one draft as they are written; ``aclose`` stops the work."""

    def __aiter__(self) -> AsyncIterator[str]:
        """Itself."""
        ...

    async def __anext__(self) -> str:
        """The next piece."""
        ...

    async def aclose(self) -> None:
        """Stop, and let go of what the writer holds."""
        ...


class Writer(Protocol):
    """Writes a draft as a stream of text pieces.

    The joined pieces are the draft: sentences with marks ``[n]`` where ``n`` is the 1-based number of the passage that a
    sentence rests on. A draft that is empty means: the passages don't say. Raises ``GeneratorUnavailable`` at any point of the
    stream; closing the iterator stops the work.
    """

    @property
    def kind(self) -> str:
        """``extractive``, ``openai`` or ``tgi``."""
        ...

    @property
    def model(self) -> str | None:
        """The model's name, where there is one."""
        ...

    def write(self, task: Task) -> DraftPieces:
        """Stream the draft."""
        ...
