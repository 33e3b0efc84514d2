"""Batches by a budget of tokens, and what happens when memory runs out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from infra.errors import Unavailable
from retrieval.encoders.runtime import batches_of, is_out_of_memory, run_in_halves


def test_batches_hold_texts_of_like_length_within_the_budget() -> None:
    batches = batches_of([5, 100, 7, 90, 6, 100], batch_tokens=200, most=64)
    assert [batch.tolist() for batch in batches] == [[1, 5], [3, 2], [4, 0]]


def test_a_text_longer_than_the_budget_is_a_batch_of_its_own() -> None:
    assert [batch.tolist() for batch in batches_of([300, 300], batch_tokens=200, most=64)] == [[0], [1]]


def test_a_batch_has_a_largest_number_of_texts_and_empty_texts_are_allowed() -> None:
    assert [len(batch) for batch in batches_of([0] * 10, batch_tokens=200, most=4)] == [4, 4, 2]


class Machine:
    """Computes the length of each text, and has room for ``room`` of them at once."""

    def __init__(self, room: int, error: Exception) -> None:
        self.room, self.error = room, error
        self.sizes: list[int] = []

    def run(self, texts: Sequence[str]) -> np.ndarray:
        self.sizes.append(len(texts))
        if len(texts) > self.room:
            raise self.error
        return np.array([[len(text)] for text in texts], dtype=np.float32)


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
    ),
    RuntimeError("Exception from src/inference/src/cpp/infer_request.cpp:223: std::bad_alloc"),
    RuntimeError("Exception from src/core/src/runtime/aligned_buffer.cpp: Failed to allocate 1024 bytes"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_a_batch_for_which_memory_does_not_suffice_is_halved_until_it_does(error: Exception) -> None:
    machine = Machine(2, error)
    texts = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg"]
    assert run_in_halves(machine.run, texts).ravel().tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert machine.sizes == [7, 3, 1, 2, 4, 2, 2]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_where_one_text_is_too_much_the_encoder_is_unavailable(error: Exception) -> None:
    machine = Machine(0, error)
    with pytest.raises(Unavailable, match="not enough memory for a single text") as caught:
        run_in_halves(machine.run, ["abc", "d", "e", "f"])
    assert caught.value.code == "encoder_out_of_memory"
    assert machine.sizes == [4, 2, 1]


def test_another_error_is_not_tried_again() -> None:
    machine = Machine(0, RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        run_in_halves(machine.run, ["a", "b"])
    assert machine.sizes == [2]
    assert not is_out_of_memory(RuntimeError("index out of range"))
