"""Token vectors of the built-in encoder, beside those of the library it is loaded with."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from service import CACHE_DIR
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from infra.errors import SettingsError
from retrieval.encoders import choice
from retrieval.encoders.encoder import HashingEncoder, RuntimeName, load_encoder
from retrieval.encoders.openvino import OpenVinoTokens
from retrieval.encoders.sentence import SentenceEncoder
from retrieval.encoders.token_vectors import TokenEncoder
from retrieval.encoders.torch import TorchRuntime
from retrieval.ranking.reranker import load_reranker

TEXTS = ["Unused leave lapses on 31 March.", "", "café au lait", "Visitors park in bay 7. " * 200]


@pytest.fixture(scope="module")
def cache() -> Path:
    return CACHE_DIR


def load(runtime: RuntimeName, cache: Path) -> SentenceEncoder:
    found = load_encoder(runtime=runtime, cache=cache)
    assert isinstance(found, SentenceEncoder)
    return found


@pytest.fixture(scope="module", params=["torch", "openvino"])
def encoder(request: pytest.FixtureRequest, cache: Path) -> SentenceEncoder:
    return load(request.param, cache)


def test_vectors_are_those_of_the_library_and_unit_long(encoder: SentenceEncoder) -> None:
    model = encoder._model
    for kind, least in (("query", 0.9999), ("document", 0.99)):
        for text, found in zip(TEXTS, encoder.token_vectors(TEXTS, kind=kind), strict=True):
            own = model.encode(text, output_value="token_embeddings", convert_to_numpy=False).cpu().numpy()[1:-1]
            assert found.ids.shape == (len(own),)
            assert found.vectors.dtype == np.float32
            expected = own / np.linalg.norm(own, axis=1, keepdims=True)
            assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(np.ones(len(own)), abs=1e-3)
            assert ((found.vectors * expected).sum(axis=1) >= least).all()


def test_tokens_are_the_texts_without_special_ones_up_to_the_window(encoder: SentenceEncoder) -> None:
    found = encoder.token_vectors(TEXTS)
    words = encoder._model.tokenizer.convert_ids_to_tokens(found[0].ids.tolist())
    assert words == ["unused", "leave", "laps", "##es", "on", "31", "march", "."]
    assert (len(found[1].ids), len(found[3].ids)) == (0, encoder.max_tokens - 2)
    assert encoder.token_vectors([]) == []
    # Of what the vocabulary does not have nothing is known: two such signs are no match.
    assert len(encoder.token_vectors(["😀"])[0].ids) == 0


def test_the_models_prompts_are_in_the_context_and_not_among_the_tokens(cache: Path) -> None:
    model = load("torch", cache)._model
    plain = SentenceEncoder(model, "plain", TorchRuntime(model, torch.device("cpu")))
    model.prompts = {"query": "query: ", "document": "passage: "}
    try:
        prompted = SentenceEncoder(model, "prompted", TorchRuntime(model, torch.device("cpu")))
        for kind in ("query", "document"):
            (bare,), (found,) = (encoder.token_vectors(TEXTS[:1], kind=kind) for encoder in (plain, prompted))
            assert found.ids.tolist() == bare.ids.tolist()
            likeness = (found.vectors * bare.vectors).sum(axis=1)
            assert likeness.min() > 0.5
            assert likeness.max() < 0.9999
        assert len(prompted.token_vectors(TEXTS)[3].ids) == prompted.max_tokens - 2
    finally:
        model.prompts = {}


def test_the_network_for_tokens_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load("openvino", cache).token_vectors(TEXTS)
    monkeypatch.setattr(choice, "_convert_tokens", None)
    again = load("openvino", cache)
    assert all(np.array_equal(a.vectors, b.vectors) for a, b in zip(again.token_vectors(TEXTS), expected, strict=True))
    assert isinstance(again._token_runtime, OpenVinoTokens)


def test_where_openvino_comes_out_otherwise_pytorch_makes_them(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load("openvino", cache)
    monkeypatch.setattr(choice, "_DOCUMENT_COSINE", 1.1)
    runtime = choice.choose_token_runtime(encoder._model, encoder.name, encoder._runtime, tmp_path)
    assert isinstance(runtime, TorchRuntime)
    (record,) = tmp_path.glob("encoder/*-tokens-*/record.json")
    assert "they differ from PyTorch's (cosine " in record.read_text("utf-8")


def test_a_model_without_token_vectors_is_refused_in_one_sentence(tmp_path: Path) -> None:
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "leave": 1, "ferry": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu").save(str(tmp_path))
    static = load_encoder(str(tmp_path))
    assert static.encode(["leave ferry", "leave"]).shape == (2, 8)
    assert static.count_tokens(["leave ferry"]) == [2]
    assert isinstance(static, TokenEncoder)
    wanted = r"^reranker: late-interaction needs an encoder that gives each token a vector, and .* does not; give none"
    with pytest.raises(SettingsError, match=wanted):
        load_reranker("late-interaction", static)
    with pytest.raises(SettingsError, match=wanted):
        load_reranker("late-interaction", HashingEncoder())
