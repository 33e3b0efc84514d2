"""An encoder's network in OpenVINO, converted from its PyTorch module: the faster one on a CPU."""

from __future__ import annotations

import queue
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.utils import logging as transformers_logging

if TYPE_CHECKING:
    import openvino
    from sentence_transformers import SentenceTransformer

# Larger batches leave the processor's second-level cache and leave a stream idle at the end; 512 to 2048 cost the same.
_BATCH_TOKENS = 1024
_EXAMPLE = ["a text", "and a longer one, so that one of the two is padded"]


# A converted model: ``openvino.Model``, which other files keep and hand back without knowing the library.
Network: TypeAlias = "openvino.Model"
Output = Literal["sentence_embedding", "token_embeddings"]


class Unconvertible(Exception):  # noqa: N818 - an answer, not an error for a caller
    """The model cannot be expressed as one OpenVINO network; says why."""


def import_openvino() -> Any:
    """OpenVINO without its telemetry, which would report each import to its makers; it runs well without that package."""
    blocked = "openvino_telemetry"
    if "openvino" not in sys.modules and blocked not in sys.modules:
        sys.modules[blocked] = None  # type: ignore[assignment] # makes its import fail, as if it were not installed
    import openvino  # noqa: PLC0415 - must come after the line above

    return openvino


class OpenVinoRuntime:
    """Implements ``Runtime`` with a converted model, compiled twice: for one query's latency and for throughput.

    Documents are encoded in bfloat16 where the CPU multiplies it natively, each batch on one stream with threads of its
    own; queries in float32 on all threads. ``documents`` is a network of their own for documents, quantised to int8.
    """

    name = "openvino"
    batch_tokens = _BATCH_TOKENS

    def __init__(self, model: Network, documents: Network | None = None) -> None:
        ov = import_openvino()
        core = ov.Core()
        native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._precision = "int8" if documents is not None else "bfloat16" if native else "float32"
        # Threads bound to cores would wait for whatever else runs on these.
        common = {"ENABLE_CPU_PINNING": False}
        exact = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        fast = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "bf16" if native else "f32"}
        self._exact = _Requests(core.compile_model(model, "CPU", common | exact))
        self._fast = _Requests(core.compile_model(documents or model, "CPU", common | fast))
        self._inputs = [port.get_any_name() for port in model.inputs]

    @property
    def precision(self) -> str:
        """See ``Runtime``."""
        return self._precision

    @property
    def parallel(self) -> int:
        """See ``Runtime``: the streams that OpenVINO chose for this machine."""
        return self._fast.count

    def run(self, features: Mapping[str, Any], *, exact: bool) -> NDArray[np.float32]:
        """See ``Runtime``."""
        arrays = {name: features[name].numpy() for name in self._inputs}
        return (self._exact if exact else self._fast).infer(arrays)


class OpenVinoTokens:
    """Implements ``TokenRuntime`` with a network that ``convert`` made for tokens: all threads for one batch after another."""

    batch_tokens = _BATCH_TOKENS

    def __init__(self, model: Network) -> None:
        core = import_openvino().Core()
        hints = {"ENABLE_CPU_PINNING": False, "PERFORMANCE_HINT": "LATENCY"}
        native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._exact = _Requests(core.compile_model(model, "CPU", hints | {"INFERENCE_PRECISION_HINT": "f32"}))
        self._fast = self._exact
        if native:
            self._fast = _Requests(core.compile_model(model, "CPU", hints | {"INFERENCE_PRECISION_HINT": "bf16"}))
        self._inputs = [port.get_any_name() for port in model.inputs]

    def run_tokens(self, features: Mapping[str, Any], *, exact: bool) -> NDArray[np.float32]:
        """See ``TokenRuntime``."""
        arrays = {name: features[name].numpy() for name in self._inputs}
        return (self._exact if exact else self._fast).infer(arrays)


class _Requests:
    """As many inference requests as a compiled model runs side by side; further callers wait for one."""

    def __init__(self, compiled: openvino.CompiledModel) -> None:
        self.count = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._free: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        for _ in range(self.count):
            self._free.put(compiled.create_infer_request())

    def infer(self, arrays: dict[str, NDArray[np.int64]]) -> NDArray[np.float32]:
        request = self._free.get()
        try:
            request.infer(arrays, share_inputs=True)
            # A copy: the next inference of this request writes into the same memory.
            return np.array(request.get_output_tensor().data, dtype=np.float32)
        finally:
            self._free.put(request)


class _UnitVectors(torch.nn.Module):
    """The model from token ids to unit vectors, as one function of tensors."""

    def __init__(
        self, model: SentenceTransformer, output: Output, names: Sequence[str], constants: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self._model = model
        self._output = output
        self._names = tuple(names)
        self._constants = dict(constants)

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        features = dict(zip(self._names, tensors, strict=True)) | self._constants
        return torch.nn.functional.normalize(self._model(features)[self._output].float(), p=2, dim=-1)


def convert(model: SentenceTransformer, output: Output = "sentence_embedding") -> Network:
    """``model`` as an OpenVINO network of any batch size and length; needs no network.

    It gives the texts' unit vectors or, with ``token_embeddings``, those of their tokens. Raises ``Unconvertible`` with the
    reason.
    """
    ov = import_openvino()
    example = model.preprocess(_EXAMPLE)
    tensors = {name: value for name, value in example.items() if isinstance(value, torch.Tensor)}
    constants = {name: value for name, value in example.items() if name not in tensors}
    for prompt in filter(None, model.prompts.values()):
        if set(model.preprocess(_EXAMPLE, prompt=prompt)) != set(example):
            raise Unconvertible("its pooling depends on the prompt")
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            # Tracing warns of each Python branch it cannot see; the result is compared with the original instead.
            warnings.simplefilter("ignore")
            network = _UnitVectors(model, output, list(tensors), constants)
            converted: Network = ov.convert_model(network, example_input=tuple(tensors.values()))
    except Exception as error:  # tracing runs the model's own code, which may raise anything
        raise Unconvertible(f"{type(error).__name__}: {str(error).strip()}") from error
    finally:
        transformers_logging.set_verbosity(before)
    if len(converted.inputs) != len(tensors):
        raise Unconvertible(f"of its inputs {', '.join(tensors)} only {len(converted.inputs)} are left")
    for port, name in zip(converted.inputs, tensors, strict=True):
        port.set_names({name})
    return converted


def save(model: Network, path: Path) -> None:
    """Write ``path`` (``.xml``) and its weights beside it (``.bin``), in full precision."""
    import_openvino().save_model(model, path, compress_to_fp16=False)


def read(path: Path) -> Network:
    """What ``save`` wrote; its weights stay on the disk until they are needed. Raises ``RuntimeError``."""
    model: Network = import_openvino().Core().read_model(path)
    return model


def describe() -> dict[str, str]:
    """What a converted model depends on: OpenVINO's version, the CPU and what it can multiply."""
    ov = import_openvino()
    core = ov.Core()
    return {
        "openvino": str(ov.get_version()),
        "cpu": str(core.get_property("CPU", "FULL_DEVICE_NAME")),
        "capabilities": " ".join(sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))),
    }
