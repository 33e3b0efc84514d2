"""Linear layers of an OpenVINO network in 8-bit integers (W8A8): which there are, what goes into them, and the change itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.calibration import Calibration, quantize_weights, scales
from retrieval.encoders.openvino import Network, Unconvertible, import_openvino

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LinearGroup:
    """Matrix products with constant weights (outputs, inputs) that share one input: OpenVINO's nodes, and their weights."""

    source: Any
    products: tuple[Any, ...]
    weights: tuple[Array, ...]


def linear_groups(network: Network) -> list[LinearGroup]:
    """The linear layers of ``network`` in its order, those of one input together."""
    sources: dict[tuple[str, int], Any] = {}
    products: dict[tuple[str, int], list[Any]] = {}
    for node in network.get_ordered_ops():
        if node.get_type_name() != "MatMul" or node.input_value(1).get_node().get_type_name() != "Constant":
            continue
        attributes = node.get_attributes()
        if attributes["transpose_a"] or not attributes["transpose_b"] or len(node.input_value(1).get_shape()) != 2:
            continue
        source = node.input_value(0)
        key = (source.get_node().get_friendly_name(), source.get_index())
        sources[key] = source
        products.setdefault(key, []).append(node)
    return [
        LinearGroup(
            source,
            tuple(products[key]),
            tuple(np.asarray(node.input_value(1).get_node().data, dtype=np.float32) for node in products[key]),
        )
        for key, source in sources.items()
    ]


def observe(network: Network, batches: Iterable[Mapping[str, NDArray[np.int64]]]) -> list[Array]:
    """What goes into each group of linear layers, in float32, shape (tokens of all batches, inputs); padding is left out."""
    ov = import_openvino()
    watched = network.clone()
    groups = linear_groups(watched)
    watched.add_outputs([group.source for group in groups])
    compiled = ov.Core().compile_model(watched, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found: list[list[Array]] = [[] for _ in groups]
    for batch in batches:
        results = compiled({port.get_any_name(): batch[port.get_any_name()] for port in watched.inputs})
        there = batch["attention_mask"].astype(bool)
        for place, values in enumerate(found, len(network.outputs)):
            values.append(np.array(results[place][there], dtype=np.float32))
    return [np.concatenate(values) for values in found]


def quantize(network: Network, calibration: Calibration) -> Network:
    """A copy of ``network`` whose linear layers multiply integers; raises ``Unconvertible`` where the calibration is another's.

    Each input is rounded to ``QuantizedInput``'s integers, each weight to -127 to 127 with a factor for each output. Both are
    written as OpenVINO reads quantised models, as ``FakeQuantize`` and as integers times a factor.
    """
    ops = import_openvino().opset13
    changed = network.clone()
    groups = linear_groups(changed)
    expected = [(len(entry.smoothing), list(entry.outputs)) for entry in calibration.inputs]
    there = [(group.weights[0].shape[1], sorted(len(each) for each in group.weights)) for group in groups]
    if expected != there:
        raise Unconvertible("its linear layers are not those of the calibration")
    for group, entry in zip(groups, calibration.inputs, strict=True):
        low, high = -entry.zero * entry.step, (255 - entry.zero) * entry.step
        # Its own range for each channel is what ``FakeQuantize`` cannot have on a CPU: the channels are divided before.
        divided = ops.multiply(
            group.source, ops.constant(scales([-e for e in entry.smoothing]).astype(np.float32)[None, None])
        )
        ends = [ops.constant(np.float32(end)) for end in (low, high)]
        rounded = ops.fake_quantize(divided, *ends, *ends, 256)
        for product, weights in zip(group.products, group.weights, strict=True):
            integers, factors = quantize_weights(weights, entry.smoothing)
            restored = ops.multiply(ops.convert(ops.constant(integers), "f32"), ops.constant(factors))
            product.input(0).replace_source_output(rounded.output(0))
            product.input(1).replace_source_output(restored.output(0))
    changed.validate_nodes_and_infer_types()
    return changed
