"""Which runtime an encoder gets: measured once on a machine, written down beside the converted model, read afterwards.

In the cache folder, for each model on each kind of machine::

    encoder/all-MiniLM-L6-v2@53aa5117-<hash of what the conversion depends on>/
        model.xml, model.bin    the network in OpenVINO's format
        record.json             what was measured, which runtime is the faster, the files' sha256
"""

from __future__ import annotations

import hashlib
import os
import platform
import random
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
import structlog
import torch

from infra.errors import SettingsError
from retrieval.encoder_runtime import Runtime
from retrieval.encoder_sentence import SentenceEncoder
from retrieval.encoder_torch import TorchRuntime

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from retrieval.encoder import Encoder, RuntimeName
    from retrieval.encoder_openvino import Network, OpenVinoRuntime

log = structlog.get_logger()

# The cosine to float32 PyTorch below which a vector would be another model's.
_EXACT_COSINE = 0.9999
_DOCUMENT_COSINE = 0.999
_FILES = ("model.xml", "model.bin")
_ROUNDS = 3
_STALE_S = 3600


@dataclass(frozen=True, slots=True)
class Record:
    """What was found out about a model on a machine; ``reason`` says why OpenVINO cannot run it, if so.

    ``cosines`` are the lowest to float32 PyTorch, ``texts_per_s`` the medians on texts of a chunk's length.
    """

    fastest: Literal["torch", "openvino"]
    depends_on: dict[str, str]
    cosines: dict[str, float] = field(default_factory=dict)
    texts_per_s: dict[str, float] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    reason: str | None = None


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
    record, converted = _known_or_new(model, name, plain, cache)
    if converted is not None and (wanted == "openvino" or record.fastest == "openvino"):
        return converted
    if record.reason is not None:
        if wanted == "openvino":
            raise SettingsError(
                f"FOOTNOTE_ENCODER_RUNTIME is 'openvino', which cannot run {name}: {record.reason}; allowed: auto, torch."
            )
        log.warning("encoder runs in PyTorch", encoder=name, reason=record.reason)
    return plain


def _known_or_new(
    model: SentenceTransformer, name: str, plain: TorchRuntime, cache: Path | None
) -> tuple[Record, OpenVinoRuntime | None]:
    try:
        from retrieval.encoder_openvino import OpenVinoRuntime, describe  # noqa: PLC0415 - not there on every platform

        depends_on = describe()
    except (ImportError, OSError) as error:
        return Record("torch", {}, reason=f"OpenVINO cannot be loaded: {error}"), None
    depends_on |= {
        "encoder": name,
        **{package: metadata.version(package) for package in ("torch", "transformers", "sentence-transformers")},
        "machine": f"{platform.machine()} {os.cpu_count()} cores",
    }
    folder = None if cache is None else cache / "encoder" / _folder_name(name, depends_on)
    if folder is not None and (known := _read(folder)) is not None:
        record, network = known
        return record, None if network is None else OpenVinoRuntime(network)
    record, network, runtime = _measure(model, name, plain, depends_on)
    if folder is not None:
        _keep(folder, record, network)
    return record, runtime


def _measure(
    model: SentenceTransformer, name: str, plain: TorchRuntime, depends_on: dict[str, str]
) -> tuple[Record, Network | None, OpenVinoRuntime | None]:
    from retrieval.encoder_openvino import OpenVinoRuntime, Unconvertible, convert  # noqa: PLC0415 - see above

    try:
        network = convert(model)
        runtime = OpenVinoRuntime(network)
        ours, theirs = SentenceEncoder(model, name, runtime), SentenceEncoder(model, name, plain)
        texts = _probes(theirs)
        reference = theirs.encode(texts, kind="query")
        cosines = {
            "query": _lowest_cosine(ours.encode(texts, kind="query"), reference),
            "document": _lowest_cosine(ours.encode(texts), reference),
        }
    except (Unconvertible, RuntimeError) as error:
        reason = f"it cannot be converted ({' '.join(str(error).split())[:200]})"
        return Record("torch", depends_on, reason=reason), None, None
    if cosines["query"] < _EXACT_COSINE or cosines["document"] < _DOCUMENT_COSINE:
        reason = f"its vectors differ from PyTorch's (cosine {min(cosines.values()):.4f})"
        return Record("torch", depends_on, cosines, reason=reason), None, None
    rates = _texts_per_s(texts, {"torch": theirs, "openvino": ours})
    fastest: Literal["torch", "openvino"] = "openvino" if rates["openvino"] >= rates["torch"] else "torch"
    log.info("encoder measured", encoder=name, runtime=fastest, texts_per_s=rates, lowest_cosines=cosines)
    return Record(fastest, depends_on, cosines, rates), network, runtime


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


def _folder_name(name: str, depends_on: Mapping[str, str]) -> str:
    digest = hashlib.sha256(msgspec.json.encode(sorted(depends_on.items()))).hexdigest()[:12]
    return f"{re.sub(r'[^A-Za-z0-9.@-]+', '_', name)}-{digest}"


def _read(folder: Path) -> tuple[Record, Network | None] | None:
    from retrieval.encoder_openvino import read  # noqa: PLC0415 - see above

    try:
        record = msgspec.json.decode((folder / "record.json").read_bytes(), type=Record)
        if record.reason is not None:
            return record, None
        for file in _FILES:
            if _sha256(folder / file) != record.sha256.get(file):
                log.warning("encoder's converted model is damaged and is made again", file=str(folder / file))
                return None
        return record, read(folder / "model.xml")
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, RuntimeError) as error:
        log.warning("encoder's converted model cannot be read and is made again", folder=str(folder), error=str(error))
        return None


def _keep(folder: Path, record: Record, network: Network | None) -> None:
    """Write everything beside its place and move it there at once: a folder that is there is whole."""
    from retrieval.encoder_openvino import save  # noqa: PLC0415 - see above

    fresh: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        if network is not None:
            save(network, fresh / "model.xml")
            record = replace(record, sha256={file: _sha256(fresh / file) for file in _FILES})
        (fresh / "record.json").write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
        for path in fresh.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        fresh.rename(folder)
    except (OSError, RuntimeError) as error:
        # Also where another process was first: its copy is as good. Without a copy the next start converts again.
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)
        if not folder.exists():
            log.warning("encoder's converted model cannot be kept", folder=str(folder), error=str(error))


def _clear(folder: Path) -> None:
    """Remove what the new copy replaces: a damaged one, those of older versions, and what a crash left behind."""
    model = folder.name.rpartition("-")[0]
    for other in folder.parent.iterdir():
        abandoned = other.name.startswith(".new-") and time.time() - other.stat().st_mtime > _STALE_S
        if abandoned or other.name.rpartition("-")[0] == model:
            shutil.rmtree(other, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
