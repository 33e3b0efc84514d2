"""The other machines' side of ``ingest.cluster``: what reads and cuts documents there, and what embeds texts.

Plain classes: what starts them on a machine, and what calls them, is in ``ingest.ray_cluster``.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.cluster import Identity, Refusal, Shipment, identity_of, refused
from ingest.prepare import Prepared, prepare
from ingest.sandbox import Sandbox
from retrieval.encoders.encoder import Encoder, RuntimeName, load_encoder


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is to be like. Both loaders give the same model: one to embed with, one to count tokens with only.

    The others are a document's limits and OCR languages, as for ``Sandbox``. Nothing here is a secret.
    """

    load_encoder: Callable[[], Encoder]
    load_tokens: Callable[[], Encoder]
    parse_timeout_s: float
    parse_memory_mb: int
    ocr: str | None = None


class _Lazy:
    """An encoder that is loaded at the first call: a constructor could not say what is wrong with it."""

    def __init__(self, load: Callable[[], Encoder]) -> None:
        self._load, self._lock = load, threading.Lock()
        self._encoder: Encoder | None = None

    def get(self) -> Encoder:
        with self._lock:
            if self._encoder is None:
                self._encoder = self._load()
            return self._encoder


class PrepareWorker:
    """Reads and cuts ``at_once`` documents at a time, each in the sandbox with its limits."""

    def __init__(self, settings: WorkerSettings, at_once: int) -> None:
        self._settings, self._at_once = settings, at_once
        self._encoder = _Lazy(settings.load_tokens)
        self._lock = threading.Lock()
        self._sandbox: Sandbox | None = None

    def identity(self) -> Identity | Refusal:
        """Load everything, and say what this worker is."""

        def work() -> Identity:
            self._parsers()
            return identity_of(self._encoder.get(), os.getpid())

        return refused(work)

    def prepare(self, shipment: Shipment) -> Prepared | Refusal:
        """The document as ``ingest.prepare.prepare`` makes it."""
        return refused(lambda: self._prepare(shipment))

    def close(self) -> None:
        """Stop the sandbox's processes."""
        if self._sandbox is not None:
            self._sandbox.close()

    def _prepare(self, shipment: Shipment) -> Prepared:
        item, encoder, parsers = shipment.item, self._encoder.get(), self._parsers()
        if item.data is None:
            return prepare(item, shipment.digest, parsers.parse, encoder, shipment.settings)
        with tempfile.NamedTemporaryFile(prefix="footnote-") as file:
            file.write(item.data)
            file.flush()
            item = replace(item, data=None, path=Path(file.name))
            return prepare(item, shipment.digest, parsers.parse, encoder, shipment.settings)

    def _parsers(self) -> Sandbox:
        with self._lock:
            if self._sandbox is None:
                limits = self._settings
                self._sandbox = Sandbox(
                    timeout_s=limits.parse_timeout_s,
                    memory_mb=limits.parse_memory_mb,
                    workers=self._at_once,
                    ocr=limits.ocr,
                )
            return self._sandbox


class EncodeWorker:
    """Embeds texts, on a GPU if this process has one."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._encoder = _Lazy(settings.load_encoder)

    def identity(self) -> Identity | Refusal:
        """Load the encoder, and say what this worker is."""
        return refused(lambda: identity_of(self._encoder.get(), os.getpid()))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32] | Refusal:
        """Vectors of ``texts`` as documents; ``ValueError`` for one that is longer than the window, as ``Encoder.encode``."""
        return refused(lambda: self._encoder.get().encode(texts, kind="document"))


def load_on_worker(name_or_path: str, runtime: RuntimeName, cache: Path | None) -> Encoder:
    """``load_encoder`` on whatever machine this runs; without a ``cache`` folder, in its user's own."""
    return load_encoder(name_or_path, runtime=runtime, cache=cache or Path.home() / ".cache" / "footnote")
