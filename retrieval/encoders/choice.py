"""Which runtime an encoder gets: measured once on a machine, written down beside the converted model, read afterwards."""

from __future__ import annotations

import random
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import structlog
import torch

from infra.errors import SettingsError
from retrieval.encoders.cache import Record, dependencies, folder_of, keep, read_kept
from retrieval.encoders.calibration import Calibration
from retrieval.encoders.runtime import Runtime, TokenRuntime
from retrieval.encoders.sentence import SentenceEncoder
from retrieval.encoders.torch import TorchRuntime

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from retrieval.encoders.encoder import Encoder, RuntimeName
    from retrieval.encoders.openvino import Network

log = structlog.get_logger()

# The cosine to float32 PyTorch below which a vector would be another model's.
_EXACT_COSINE = 0.9999
_DOCUMENT_COSINE = 0.999
# The mean and the lowest cosine of documents in int8 to float32: a processor that cannot add such products up falls far below.
_INT8_MEAN_COSINE = 0.99
_INT8_LOWEST_COSINE = 0.97
_ROUNDS = 3
# OpenVINO also answers queries sooner and spends less processor time: a busy machine's few rounds must not decide against it.
_CLEARLY = 1.2


def choose_runtime(model: SentenceTransformer, name: str, wanted: RuntimeName, cache: Path | None) -> Runtime:
    """The runtime for ``model``; with ``auto``, the one measured to be the faster on this machine.

    What was converted and measured is kept under ``cache``, if given, and used from there by the next start. On a GPU
    there is nothing to choose: PyTorch. ``auto`` falls back to PyTorch, with a line in the log, where OpenVINO cannot
    run the model to the same vectors; asked for by name, that is a ``SettingsError``.
    """
    device = torch.device(model.device)
    plain = TorchRuntime(model, device)
    if wanted == "torch" or device.type != "cpu":
        return plain
    record, network = _known_or_new(model, name, plain, cache)
    if network is not None and (wanted == "openvino" or record.fastest == "openvino"):
        return _in_openvino(network)
    if record.reason is not None:
        if wanted == "openvino":
            raise SettingsError(
                f"FOOTNOTE_ENCODER_RUNTIME is 'openvino', which cannot run {name}: {record.reason}; allowed: auto, torch."
            )
        log.warning("encoder runs in PyTorch", encoder=name, reason=record.reason)
    return plain


def choose_int8(
    model: SentenceTransformer,
    names: tuple[str, str],
    calibration: Calibration,
    wanted: RuntimeName,
    cache: Path | None,
) -> Runtime:
    """The runtime for ``model`` with its documents in int8; ``names`` are the float32 encoder's and this one's.

    Queries are encoded by the float32 network, so only stored vectors are rounded. Both networks are kept under ``cache``, if
    given. ``SettingsError`` where it cannot run: without OpenVINO, on a GPU, or where the vectors come out wrong.
    """
    plain_name, name = names
    shown = name.partition("@")[0]
    device = torch.device(model.device)
    if wanted == "torch":
        raise SettingsError(
            f"FOOTNOTE_ENCODER is {shown!r}, which runs in OpenVINO only, and FOOTNOTE_ENCODER_RUNTIME is 'torch';"
            " allowed with it: auto, openvino."
        )
    if device.type != "cpu":
        raise SettingsError(
            f"FOOTNOTE_ENCODER is {shown!r}, which runs on a CPU only, and this machine has a GPU: set it to"
            f" {plain_name.partition('@')[0]!r}."
        )
    record, network = _known_or_new(model, plain_name, TorchRuntime(model, device), cache)
    documents: Network | None = None
    if network is not None:
        record, documents = _known_or_quantized(model, network, name, calibration, cache)
    if network is None or documents is None:
        raise SettingsError(
            f"FOOTNOTE_ENCODER is {shown!r}, which OpenVINO cannot run here: {record.reason}; set it to"
            f" {plain_name.partition('@')[0]!r}."
        )
    return _in_openvino(network, documents)


def choose_token_runtime(model: SentenceTransformer, name: str, runtime: Runtime, cache: Path | None) -> TokenRuntime:
    """What gives the vectors of tokens: OpenVINO where ``runtime`` is it and they come out as PyTorch's, else PyTorch.

    The network is kept under ``cache``, if given, beside that of ``name``.
    """
    plain = TorchRuntime(model, torch.device(model.device))
    if runtime.name != "openvino":
        return plain
    kept_as = f"{name}-tokens"
    depends_on = dependencies(kept_as)
    folder = None if cache is None else folder_of(cache, kept_as, depends_on)
    known = None if folder is None else read_kept(folder)
    if known is None:
        known = _convert_tokens(model, name, plain, depends_on)
        if folder is not None:
            keep(folder, *known)
    record, network = known
    if network is None:
        log.warning("token vectors are made in PyTorch", encoder=name, reason=record.reason)
        return plain
    from retrieval.encoders.openvino import OpenVinoTokens  # noqa: PLC0415 - not there on every platform

    return OpenVinoTokens(network)


def _convert_tokens(
    model: SentenceTransformer, name: str, plain: TorchRuntime, depends_on: dict[str, str]
) -> tuple[Record, Network | None]:
    from retrieval.encoders.openvino import OpenVinoTokens, Unconvertible, convert  # noqa: PLC0415 - see above

    theirs = SentenceEncoder(model, name, plain)
    texts = _probes(theirs)
    reference = theirs.token_vectors(texts, kind="query")
    try:
        network = convert(model, "token_embeddings")
        ours = SentenceEncoder(model, name, plain, lambda: OpenVinoTokens(network))
        found = ours.token_vectors(texts)
    except (Unconvertible, RuntimeError) as error:
        reason = f"they cannot be converted ({' '.join(str(error).split())[:200]})"
        return Record("torch", depends_on, reason=reason), None
    each = [(a.vectors * b.vectors).sum(axis=1) for a, b in zip(found, reference, strict=True)]
    # The mean, as single tokens that say nothing may turn further in bfloat16.
    cosines = {"token": round(float(np.concatenate(each).mean()), 6)}
    if not cosines["token"] >= _DOCUMENT_COSINE:
        reason = f"they differ from PyTorch's (cosine {cosines['token']:.4f})"
        return Record("torch", depends_on, cosines, reason=reason), None
    return Record("openvino", depends_on, cosines), network


def _in_openvino(network: Network, documents: Network | None = None) -> Runtime:
    from retrieval.encoders.openvino import OpenVinoRuntime  # noqa: PLC0415 - not there on every platform

    return OpenVinoRuntime(network, documents)


def _known_or_new(
    model: SentenceTransformer, name: str, plain: TorchRuntime, cache: Path | None
) -> tuple[Record, Network | None]:
    try:
        depends_on = dependencies(name)
    except (ImportError, OSError) as error:
        return Record("torch", {}, reason=f"OpenVINO cannot be loaded: {error}"), None
    folder = None if cache is None else folder_of(cache, name, depends_on)
    if folder is not None and (known := read_kept(folder)) is not None:
        return known
    record, network = _measure(model, name, plain, depends_on)
    if folder is not None:
        keep(folder, record, network)
    return record, network


def _known_or_quantized(
    model: SentenceTransformer, network: Network, name: str, calibration: Calibration, cache: Path | None
) -> tuple[Record, Network | None]:
    depends_on = dependencies(name)
    folder = None if cache is None else folder_of(cache, name, depends_on)
    if folder is not None and (known := read_kept(folder)) is not None:
        return known
    record, documents = _quantize(model, network, name, calibration, depends_on)
    if folder is not None:
        keep(folder, record, documents)
    return record, documents


def _quantize(
    model: SentenceTransformer, network: Network, name: str, calibration: Calibration, depends_on: dict[str, str]
) -> tuple[Record, Network | None]:
    from retrieval.encoders.int8 import quantize  # noqa: PLC0415 - OpenVINO is not there on every platform
    from retrieval.encoders.openvino import Unconvertible  # noqa: PLC0415 - see above

    try:
        documents = quantize(network, calibration)
        ours = SentenceEncoder(model, name, _in_openvino(network, documents))
        texts = _probes(ours)
        found = (ours.encode(texts) * ours.encode(texts, kind="query")).sum(axis=1)
    except (Unconvertible, RuntimeError) as error:
        reason = f"it cannot be quantised ({' '.join(str(error).split())[:200]})"
        return Record("openvino", depends_on, reason=reason), None
    cosines = {"document_mean": round(float(found.mean()), 6), "document": round(float(found.min()), 6)}
    # Written so that what is not a number fails too.
    if not (cosines["document_mean"] >= _INT8_MEAN_COSINE and cosines["document"] >= _INT8_LOWEST_COSINE):
        reason = (
            f"its vectors lie too far from float32 on this processor (cosine {cosines['document_mean']:.4f} in the mean,"
            f" {cosines['document']:.4f} at the lowest)"
        )
        return Record("openvino", depends_on, cosines, reason=reason), None
    log.info("encoder quantised", encoder=name, cosines=cosines)
    return Record("openvino", depends_on, cosines), documents


def _measure(
    model: SentenceTransformer, name: str, plain: TorchRuntime, depends_on: dict[str, str]
) -> tuple[Record, Network | None]:
    from retrieval.encoders.openvino import Unconvertible, convert  # noqa: PLC0415 - not there on every platform

    try:
        network = convert(model)
        ours, theirs = (SentenceEncoder(model, name, runtime) for runtime in (_in_openvino(network), plain))
        texts = _probes(theirs)
        reference = theirs.encode(texts, kind="query")
        cosines = {
            "query": _lowest_cosine(ours.encode(texts, kind="query"), reference),
            "document": _lowest_cosine(ours.encode(texts), reference),
        }
    except (Unconvertible, RuntimeError) as error:
        reason = f"it cannot be converted ({' '.join(str(error).split())[:200]})"
        return Record("torch", depends_on, reason=reason), None
    if cosines["query"] < _EXACT_COSINE or cosines["document"] < _DOCUMENT_COSINE:
        reason = f"its vectors differ from PyTorch's (cosine {min(cosines.values()):.4f})"
        return Record("torch", depends_on, cosines, reason=reason), None
    rates = _texts_per_s(texts, {"torch": theirs, "openvino": ours})
    fastest: Literal["torch", "openvino"] = "torch" if rates["torch"] > _CLEARLY * rates["openvino"] else "openvino"
    log.info("encoder measured", encoder=name, runtime=fastest, texts_per_s=rates, lowest_cosines=cosines)
    return Record(fastest, depends_on, cosines, rates), network


def _texts_per_s(texts: Sequence[str], encoders: Mapping[str, Encoder]) -> dict[str, float]:
    """Medians of a few rounds; they alternate, so that another program's load falls on all."""
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(_ROUNDS):
        for name, encoder in encoders.items():
            started = time.perf_counter()
            encoder.encode(texts)
            times[name].append(time.perf_counter() - started)
    return {name: round(len(texts) / statistics.median(values), 1) for name, values in times.items()}


def _probes(encoder: SentenceEncoder) -> list[str]:
    """Texts of a few words to a full window, most of a chunk's length, with words, numbers and other scripts."""
    rng = random.Random(1)  # noqa: S311 - the same texts on each machine
    words = re.findall(
        r"\S+", "the crossing opens at 9:30 on 3 June, café; invoice №7 due 東京 (see Annex B) is not payable by cheque"
    )
    window = encoder.max_tokens
    texts = []
    for share in (0.02, 0.1, 0.4, 0.6, 0.6, 0.6, 0.6, 0.7, 0.7, 0.7, 0.7, 0.9, 1.0, 0.6, 0.7, 0.7):
        chosen = [rng.choice(words) for _ in range(max(2, int(share * min(window, 256))))]
        while encoder.count_tokens([" ".join(chosen)])[0] > window and len(chosen) > 1:
            chosen = chosen[: len(chosen) * 9 // 10]
        texts.append(" ".join(chosen))
    return texts


def _lowest_cosine(vectors: np.ndarray, reference: np.ndarray) -> float:
    return round(float((vectors * reference).sum(axis=1).min()), 6)
