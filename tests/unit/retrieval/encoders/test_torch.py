"""PyTorch's arithmetic and batch sizes by device; the network is a stand-in."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from retrieval.encoders.torch import TorchRuntime, document_dtype

CPU, GPU = torch.device("cpu"), torch.device("cuda")


class Network(torch.nn.Module):
    """Multiplies its input by two; ``seen`` are the arithmetic it was asked for and the device of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.eye(2) * 2)
        self.seen: list[tuple[torch.dtype, str]] = []
        self.inside = threading.Barrier(2, timeout=20)
        self.meet = False

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if self.meet:
            self.inside.wait()
        product = features["x"] @ self.weight
        self.seen.append((product.dtype, features["x"].device.type))
        return {"sentence_embedding": product}


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({}, torch.float32), ({"avx512_bf16": True}, torch.bfloat16), ({"amx_bf16": True}, torch.bfloat16)],
)
def test_a_cpu_computes_in_what_it_multiplies_natively(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert document_dtype(CPU) == expected
    runtime = TorchRuntime(Network(), CPU)
    assert runtime.precision == str(expected).removeprefix("torch.")
    assert runtime.batch_tokens == 4096


@pytest.mark.parametrize(("native", "expected"), [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_computes_in_sixteen_bits_in_large_batches(
    monkeypatch: pytest.MonkeyPatch, native: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native)
    runtime = TorchRuntime(Network(), GPU)
    assert runtime.precision == expected
    assert runtime.batch_tokens == 65536


def test_documents_are_computed_fast_and_queries_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    network = Network()
    runtime = TorchRuntime(network, CPU)
    features = {"x": torch.tensor([[3.0, 4.0]]), "modality": "text"}
    for exact in (True, False):
        vectors = runtime.run(features, exact=exact)
        assert vectors.dtype == np.float32
        assert vectors == pytest.approx(np.array([[0.6, 0.8]]), abs=1e-3)
    assert network.seen == [(torch.float32, "cpu"), (torch.bfloat16, "cpu")]


def test_a_query_does_not_wait_for_documents() -> None:
    network = Network()
    network.meet = True  # both must be inside at the same time, or the barrier breaks
    runtime = TorchRuntime(network, CPU)
    features = {"x": torch.tensor([[3.0, 4.0]])}
    documents = threading.Thread(target=runtime.run, args=(features,), kwargs={"exact": False})
    documents.start()
    runtime.run(features, exact=True)
    documents.join()
    assert len(network.seen) == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_vectors_of_a_cpu() -> None:
    from retrieval.encoders.encoder import DEFAULT_ENCODER, load_encoder

    on_gpu = load_encoder(DEFAULT_ENCODER)
    texts = ["Employees accrue 1.5 days a month. " * n for n in range(1, 20)]
    exact = on_gpu.encode(texts, kind="query")
    assert (on_gpu.encode(texts) * exact).sum(axis=1).min() > 0.999
