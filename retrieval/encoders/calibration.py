"""How the inputs of an encoder's linear layers become 8-bit integers: found once on example texts, kept in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from infra.errors import SettingsError

Array = NDArray[np.float32]

# 2 ** (i / 8), written out: a power that the machine's library computes may differ in its last bit.
_EIGHTHS = (
    1.0,
    1.0905077326652577,
    1.189207115002721,
    1.2968395546510096,
    1.4142135623730951,
    1.5422108254079407,
    1.681792830507429,
    1.8340080864093424,
)  # fmt: skip
# The share of the difficulty that smoothing moves from inputs to weights (alpha in SmoothQuant); bench/LOG.md has others.
_ALPHA = 0.8
_STEP_DIGITS = 5


class QuantizedInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The input that one or more linear layers share, as integers from 0 to 255.

    Channel ``i`` is divided by ``2 ** (smoothing[i] / 8)``, which the layers' weights are multiplied with, so that a channel of
    large values does not take the others' resolution (SmoothQuant, Xiao et al. 2023, arXiv 2211.10438); then the integer is
    ``round(x / step) + zero``. Whole exponents and a rounded step give every machine the same integers. ``outputs`` is how
    many values each of the layers computes, ascending.
    """

    smoothing: list[int]
    step: float
    zero: int
    outputs: list[int]


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All linear layers' inputs, in the order of the network, of the model whose weights have ``weights_sha256``."""

    weights_sha256: str
    inputs: list[QuantizedInput]


def read_calibration(path: Path) -> Calibration:
    """What ``write_calibration`` wrote; raises ``SettingsError`` where it is damaged."""
    try:
        calibration = msgspec.json.decode(path.read_bytes(), type=Calibration)
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(f"The encoder's calibration {path.name} cannot be read: {error}; reinstall it.") from error
    for entry in calibration.inputs:
        if not (entry.step > 0 and 0 <= entry.zero <= 255 and entry.smoothing and entry.outputs):
            raise SettingsError(f"The encoder's calibration {path.name} is damaged: reinstall it.")
    return calibration


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write one group of layers a line."""
    lines = b",\n".join(msgspec.json.encode(entry) for entry in calibration.inputs)
    head = msgspec.json.encode(calibration.weights_sha256)
    path.write_bytes(b'{"weights_sha256":' + head + b',"inputs":[\n' + lines + b"\n]}\n")


def scales(smoothing: Sequence[int]) -> NDArray[np.float64]:
    """``2 ** (e / 8)`` of each exponent, to the bit the same everywhere."""
    exponents = np.asarray(smoothing, dtype=np.int64)
    found: NDArray[np.float64] = np.ldexp(np.asarray(_EIGHTHS)[exponents % 8], exponents // 8)
    return found


def quantize_weights(weights: Array, smoothing: Sequence[int]) -> tuple[NDArray[np.int8], Array]:
    """``weights`` (outputs, inputs) as integers from -127 to 127, and the factor of each output (outputs, 1) that undoes it."""
    smoothed = np.asarray(weights, dtype=np.float64) * scales(smoothing)
    largest = np.abs(smoothed).max(axis=1, keepdims=True)
    factors = np.where(largest > 0, largest / 127, 1.0).astype(np.float32)
    return np.clip(np.rint(smoothed / factors), -127, 127).astype(np.int8), factors


def calibrate_input(values: Array, weights: Sequence[Array]) -> QuantizedInput:
    """The smoothing and range of an input, from its values (tokens, inputs) on example texts and its layers' weights.

    A channel's factor is ``max|x| ** alpha / max|w| ** (1 - alpha)``, as in SmoothQuant, their geometric mean about 1. The range
    holds all values, and 0 as an integer.
    """
    of_values = np.log2(np.maximum(np.abs(values).max(axis=0), 1e-3), dtype=np.float64)
    of_weights = np.log2(np.maximum(np.abs(np.concatenate(list(weights))).max(axis=0), 1e-4), dtype=np.float64)
    exponents = _ALPHA * of_values - (1 - _ALPHA) * of_weights
    smoothing = [round(float(e)) for e in 8 * (exponents - exponents.mean())]
    of_channel = scales(smoothing)
    low = min(float((values.min(axis=0) / of_channel).min()), 0.0)
    high = max(float((values.max(axis=0) / of_channel).max()), 1e-6)
    step = float(f"{(high - low) / 255:.{_STEP_DIGITS}g}")
    return QuantizedInput(smoothing, step, round(-low / step), sorted(len(each) for each in weights))
