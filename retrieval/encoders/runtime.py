"""What runs an encoder's network: the seam behind which PyTorch and OpenVINO stand, and what both need."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from infra.errors import OutOfMemory

Batch = TypeVar("Batch", Sequence[str], NDArray[np.intp])
T = TypeVar("T")

_OUT_OF_MEMORY = re.compile(
    r"out of memory|not enough memory|bad_alloc|(?:can't|can ?not|could not|unable to|failed to) allocate",
    re.IGNORECASE,
)


class Runtime(Protocol):
    """Turns tokenized texts into unit vectors. May be called from several threads."""

    @property
    def name(self) -> str:
        """``torch`` or ``openvino``."""
        ...

    @property
    def precision(self) -> str:
        """The arithmetic of documents: ``float32``, ``bfloat16``, ``float16`` or ``int8``."""
        ...

    @property
    def parallel(self) -> int:
        """How many batches of documents are best run side by side."""
        ...

    @property
    def batch_tokens(self) -> int:
        """Tokens, padding included, that a batch of documents should have."""
        ...

    def run(self, features: Mapping[str, Any], *, exact: bool) -> NDArray[np.float32]:
        """Vectors of a batch, shape ``(texts, dim)``, from what the model's ``preprocess`` gives.

        ``exact`` asks for float32 throughout, as queries want; else the runtime's ``precision`` is used.
        """
        ...


class TokenRuntime(Protocol):
    """Turns tokenized texts into unit vectors of their tokens. May be called from several threads."""

    @property
    def batch_tokens(self) -> int:
        """See ``Runtime``."""
        ...

    def run_tokens(self, features: Mapping[str, Any], *, exact: bool) -> NDArray[np.float32]:
        """Unit vectors of a batch's tokens, padding included, shape ``(texts, longest, dim)``; ``exact`` as ``Runtime.run``.

        Raises ``KeyError`` where the model has none.
        """
        ...


def batches_of(lengths: Sequence[int], batch_tokens: int, most: int) -> list[NDArray[np.intp]]:
    """Indices of texts in batches of like length, longest first, of at most ``most`` texts and ``batch_tokens`` tokens.

    Like lengths save padding; a budget of tokens keeps what is computed at once in the processor's cache, whatever
    the texts' length; and the longest come first, so that memory which does not suffice shows at once.
    """
    order = np.argsort(np.negative(lengths), kind="stable")
    batches = []
    start = 0
    while start < len(order):
        fits = max(1, min(most, batch_tokens // max(1, lengths[order[start]])))
        batches.append(order[start : start + fits])
        start += fits
    return batches


def run_in_halves(run: Callable[[Batch], NDArray[np.float32]], batch: Batch) -> NDArray[np.float32]:
    """``run(batch)``, made of parts as ``run_in_parts``."""
    parts = run_in_parts(run, batch)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def run_in_parts(run: Callable[[Batch], T], batch: Batch) -> list[T]:
    """``run`` of the batch, or of its halves, quarters, … where memory does not suffice for more.

    Raises ``OutOfMemory`` where it does not suffice for one text.
    """
    try:
        return [run(batch)]
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        if len(batch) == 1:
            raise OutOfMemory(
                "The encoder has not enough memory for a single text: free some, or give this service more.",
                code="encoder_out_of_memory",
            ) from error
    # Only here, after the error with all that its frames hold is gone, is there room for another attempt.
    middle = len(batch) // 2
    return run_in_parts(run, batch[:middle]) + run_in_parts(run, batch[middle:])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that memory ran out.

    PyTorch and OpenVINO raise ``RuntimeError`` (or a subclass) and say so in the text only.
    """
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None
