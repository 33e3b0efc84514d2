"""Rounding of inputs and weights, by hand, and the file that is shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infra.errors import SettingsError
from retrieval.encoders.calibration import (
    Calibration,
    QuantizedInput,
    calibrate_input,
    quantize_weights,
    read_calibration,
    scales,
    write_calibration,
)
from retrieval.encoders.encoder import DEFAULT_WEIGHTS_SHA256, INT8_CALIBRATION


def test_scales_are_eighths_of_powers_of_two() -> None:
    assert scales([0, 8, -8, 20, -4]).tolist() == [1.0, 2.0, 0.5, 4 * 1.4142135623730951, 0.7071067811865476]
    assert scales(range(-40, 41)) == pytest.approx(2.0 ** (np.arange(-40, 41) / 8), rel=1e-15)


def test_weights_become_integers_with_a_factor_for_each_output() -> None:
    weights = np.array([[1.0, -0.5, 0.25], [0.0, 0.0, 0.0], [-254.0, 3.0, 127.0]], dtype=np.float32)
    integers, factors = quantize_weights(weights, [0, 8, 0])  # the second channel counts double
    assert factors.ravel().tolist() == [np.float32(1 / 127), 1.0, 2.0]
    # 3 doubled, over 2, is 3; .25 over 1/127 is 31.75
    assert integers.tolist() == [[127, -127, 32], [0, 0, 0], [-127, 3, 64]]


def test_an_input_is_smoothed_and_its_range_holds_all_values_and_zero() -> None:
    values = np.array([[16.0, -0.5], [4.0, 1.0], [-2.0, 0.25]], dtype=np.float32)
    weights = (np.array([[1.0, 1.0]], dtype=np.float32), np.array([[-1.0, 0.5], [0.5, -1.0]], dtype=np.float32))
    entry = calibrate_input(values, weights)
    # .8 * log2(16) = 3.2 octaves lie between the channels: 1.6 on each side of the mean, 12.8 eighths
    assert entry.smoothing == [13, -13]
    high, low = 16 / 2 ** (13 / 8), -0.5 * 2 ** (13 / 8)
    assert entry.step == pytest.approx((high - low) / 255, rel=1e-4)
    assert entry.zero == round(-low / entry.step)
    assert entry.outputs == [1, 2]


def test_an_input_that_is_never_negative_begins_at_zero() -> None:
    entry = calibrate_input(np.array([[2.55], [1.0]], dtype=np.float32), [np.ones((1, 1), dtype=np.float32)])
    assert (entry.smoothing, entry.step, entry.zero) == ([0], 0.01, 0)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    calibration = Calibration("00", [QuantizedInput([1, -2], 0.5, 3, [4]), QuantizedInput([0], 0.25, 0, [1, 2])])
    write_calibration(calibration, tmp_path / "c.json")
    assert read_calibration(tmp_path / "c.json") == calibration


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"weights_sha256":"00"',
        '{"weights_sha256":"00","inputs":[{"smoothing":[0.5],"step":1.0,"zero":0,"outputs":[1]}]}',
        '{"weights_sha256":"00","inputs":[{"smoothing":[0],"step":0.0,"zero":0,"outputs":[1]}]}',
        '{"weights_sha256":"00","inputs":[{"smoothing":[0],"step":1.0,"zero":256,"outputs":[1]}]}',
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(SettingsError, match=r"calibration c\.json .*reinstall"):
        read_calibration(tmp_path / "c.json")


def test_the_shipped_calibration_is_of_the_built_in_model() -> None:
    calibration = read_calibration(INT8_CALIBRATION)
    assert calibration.weights_sha256 == DEFAULT_WEIGHTS_SHA256
    layer = [(384, [384, 384, 384]), (384, [384]), (384, [1536]), (1536, [384])]
    assert [(len(entry.smoothing), entry.outputs) for entry in calibration.inputs] == layer * 6
    assert all(-64 <= e <= 64 for entry in calibration.inputs for e in entry.smoothing)
