"""A cluster in this process: the workers' own code, with all that goes there and comes back pickled as between machines."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from fakes import FakeEncoder, fake_parse
from numpy.typing import NDArray

from ingest.cluster import Refusal, Shipment, refused
from ingest.cluster_worker import EncodeWorker, PrepareWorker, WorkerSettings
from ingest.elements import ParsedDocument
from ingest.prepare import Prepared


class FakeSandbox:
    """Parses like ``fake_parse``; ``seen`` are the files' names as the worker had them."""

    def __init__(self) -> None:
        self.seen: list[Path] = []

    def parse(self, path: Path, filename: str, content_type: str | None = None) -> ParsedDocument:
        self.seen.append(path)
        return fake_parse(path, filename, content_type)

    def close(self) -> None:
        pass


class LocalCluster:
    """Implements ``Cluster``. ``sent`` are the external ids of documents, ``texts`` those embedded.

    ``before`` is called with each document before it is read, and may raise; ``most`` is how many were there at a time.
    """

    parsers, encoders = 2, 1

    def __init__(self, encoder: FakeEncoder, before: Callable[[Shipment], None] = lambda _: None) -> None:
        settings = WorkerSettings(lambda: encoder, lambda: encoder, 10, 512)
        self.sandbox = FakeSandbox()
        self._preparing, self._encoding = PrepareWorker(settings, 1), EncodeWorker(settings)
        self._preparing._sandbox = self.sandbox  # type: ignore[assignment]
        self._before = before
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self.sent: list[str] = []
        self.texts: list[str] = []

    def prepare(self, shipment: Shipment) -> Prepared | Refusal:
        with self._lock:
            self.sent.append(shipment.item.external_id)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            there: Shipment = pickle.loads(pickle.dumps(shipment))
            refusal = refused(lambda: self._before(there))
            result = refusal if isinstance(refusal, Refusal) else self._preparing.prepare(there)
            back: Prepared | Refusal = pickle.loads(pickle.dumps(result))
            return back
        finally:
            with self._lock:
                self._now -= 1

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32] | Refusal:
        with self._lock:
            self.texts += texts
        back: NDArray[np.float32] | Refusal = pickle.loads(pickle.dumps(self._encoding.encode(list(texts))))
        return back
