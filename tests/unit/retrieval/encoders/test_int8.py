"""A tiny network in 8-bit integers, against the same arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.encoders.calibration import Calibration, QuantizedInput, calibrate_input
from retrieval.encoders.int8 import linear_groups, observe, quantize
from retrieval.encoders.openvino import Network, Unconvertible, import_openvino

ov = import_openvino()
ops = ov.opset13

W1 = np.array([[1.0, -0.5], [0.25, 2.0], [-1.0, 1.0]], dtype=np.float32)
W2 = np.array([[0.5, 0.5]], dtype=np.float32)
W3 = np.array([[1.0, 2.0, -1.0]], dtype=np.float32)
TABLE = np.array([[0.0, 0.0], [1.0, -8.0], [2.0, 4.0], [-1.5, 16.0]], dtype=np.float32)
ENTRIES = [QuantizedInput([0, 8], 0.1, 100, [1, 3]), QuantizedInput([0, 0, 0], 0.25, 128, [1])]


def tiny() -> Network:
    """Three values a token: an embedding, two layers that share it, a third over the first of them; and the mask, unused."""
    ids = ops.parameter([-1, -1], np.int64, name="input_ids")
    mask = ops.parameter([-1, -1], np.int64, name="attention_mask")
    embedded = ops.gather(ops.constant(TABLE), ids, ops.constant(np.int64(0)))
    first, second = (ops.matmul(embedded, ops.constant(w), False, True) for w in (W1, W2))
    third = ops.matmul(first, ops.constant(W3), False, True)
    used = ops.multiply(
        ops.unsqueeze(ops.convert(mask, "f32"), ops.constant(np.int64(-1))), ops.constant(np.float32(0))
    )
    network = ov.Model([ops.add(ops.add(second, third), used)], [ids, mask], "tiny")
    for port, name in zip(network.inputs, ("input_ids", "attention_mask"), strict=True):
        port.set_names({name})
    return network


def run(network: Network, ids: list[list[int]]) -> np.ndarray:
    compiled = ov.Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    rows = np.array(ids, dtype=np.int64)
    return np.array(compiled({"input_ids": rows, "attention_mask": np.ones_like(rows)})[0])


def test_layers_of_one_input_are_a_group() -> None:
    groups = linear_groups(tiny())
    found = [sorted((each.tolist() for each in group.weights), key=len) for group in groups]
    assert found == [[W2.tolist(), W1.tolist()], [W3.tolist()]]


def test_inputs_are_observed_without_padding() -> None:
    batch = {"input_ids": np.array([[1, 2, 0], [3, 0, 0]]), "attention_mask": np.array([[1, 1, 0], [1, 0, 0]])}
    first, second = observe(tiny(), [batch, {name: each[:1] for name, each in batch.items()}])
    tokens = TABLE[[1, 2, 3, 1, 2]]
    assert first == pytest.approx(tokens)
    assert second == pytest.approx(tokens @ W1.T)


def rounded(x: np.ndarray, smoothing: list[float], step: float, zero: int) -> np.ndarray:
    return (np.clip(np.rint(x / smoothing / step) + zero, 0, 255) - zero) * step


def test_a_quantised_network_computes_the_rounded_products() -> None:
    ids = [[0, 1], [2, 3]]
    x = rounded(TABLE[ids], [1.0, 2.0], 0.1, 100)
    # 16 halved is 8, in the range that ends at 15.5; -8 halved is -4. Rows by hand, in steps of a 127th of the largest:
    w1 = np.array([[127, -127], [8, 127], [-64, 127]]) * np.array([[1 / 127], [4 / 127], [2 / 127]])
    w2 = np.array([[64, 127]]) / 127
    w3 = np.array([[64, 127, -64]]) * 2 / 127
    expected = x @ w2.T + rounded(x @ w1.T, [1.0, 1.0, 1.0], 0.25, 128) @ w3.T
    exact = TABLE[ids] @ W2.T + (TABLE[ids] @ W1.T) @ W3.T
    found = run(quantize(tiny(), Calibration("00", ENTRIES)), ids)
    assert found == pytest.approx(expected, abs=1e-4)
    assert np.abs(expected - exact).max() > 0.01  # so rounding is seen


def test_the_network_itself_stays_as_it_was() -> None:
    network = tiny()
    before = run(network, [[1, 2, 3]])
    quantize(network, Calibration("00", ENTRIES))
    assert run(network, [[1, 2, 3]]).tolist() == before.tolist()


def test_a_calibration_from_what_was_observed_keeps_the_outputs() -> None:
    network = tiny()
    batch = {"input_ids": np.array([[0, 1, 2, 3]]), "attention_mask": np.ones((1, 4), dtype=np.int64)}
    pairs = zip(observe(network, [batch]), linear_groups(network), strict=True)
    calibration = Calibration("00", [calibrate_input(values, group.weights) for values, group in pairs])
    exact = run(network, [[0, 1, 2, 3]])
    assert np.abs(run(quantize(network, calibration), [[0, 1, 2, 3]]) - exact).max() < 0.02 * np.abs(exact).max()


def test_the_calibration_of_another_network_is_refused() -> None:
    with pytest.raises(Unconvertible, match="not those of the calibration"):
        quantize(tiny(), Calibration("00", ENTRIES[:1]))
    other = [QuantizedInput([0, 0], 0.1, 100, [2, 3]), ENTRIES[1]]
    with pytest.raises(Unconvertible, match="not those of the calibration"):
        quantize(tiny(), Calibration("00", other))
