"""Stand-ins that are fast and exact: an encoder without a model, a parser without converters, and what is built on them."""

from __future__ import annotations

import functools
import hashlib
import re
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infra.database import Database
from infra.errors import Unprocessable, Unsupported
from ingest.elements import ParsedDocument
from ingest.pipeline import Ingestion
from ingest.plain import parse_plain
from retrieval.answers.writer import GeneratorUnavailable, Task, Writer
from retrieval.encoders.encoder import Kind
from retrieval.engine import Engine
from retrieval.index import Index
from retrieval.verify.verifier import DeterministicVerifier

DIM = 64


class FakeEncoder:
    """Each word has a direction by its hash; a text is the normalised sum. ``texts`` are those encoded as documents.

    With another ``salt`` words have other directions, as those of another model.
    """

    def __init__(self, name: str = "fake", max_tokens: int = 64, dim: int = DIM, salt: str = "") -> None:
        self.name, self.max_tokens, self.dim, self._salt = name, max_tokens, dim, salt
        self.precision, self.runtime = "float32", "none"
        self.texts: list[str] = []
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str], *, kind: Kind = "document") -> NDArray[np.float32]:
        """One row a text; see ``retrieval.encoders.encoder.Encoder``."""
        if kind == "document":
            with self._lock:
                self.texts += texts
            for text, tokens in zip(texts, self.count_tokens(texts), strict=True):
                if tokens > self.max_tokens:
                    raise ValueError(f"{len(text)} characters are {tokens} tokens")
        rows = [_direction(text, self.dim, self._salt) for text in texts]
        return np.array(rows, dtype=np.float32).reshape(len(texts), self.dim)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """A token for each four characters, and two around them."""
        return [2 + -(-len(text) // 4) for text in texts]


def _direction(text: str, dim: int, salt: str) -> NDArray[np.float32]:
    total = np.full(dim, 1e-3, dtype=np.float32)
    for word in re.findall(r"\w+", text.lower()):
        total += _word_direction(salt + word, dim)
    return total / np.float32(np.linalg.norm(total))


@functools.lru_cache(4096)
def _word_direction(word: str, dim: int) -> NDArray[np.float32]:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).standard_normal(dim).astype(np.float32)


def fake_parse(path: Path, filename: str, content_type: str | None = None) -> ParsedDocument:
    """UTF-8 text as it is; ``*.bin`` is unsupported, and a file that says ``BROKEN`` cannot be read."""
    if filename.endswith(".bin"):
        raise Unsupported("Files of this kind are not read.")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise Unprocessable("The file is not UTF-8.", code="malformed") from None
    if "BROKEN" in text:
        raise Unprocessable("The file is damaged.", code="malformed")
    return parse_plain(text, content_type or "text/plain")


def fake_ingestion(database: Database, encoder: FakeEncoder | None = None) -> Ingestion:
    """Ingestion into ``database`` with the fakes."""
    return Ingestion(database, encoder or FakeEncoder(), fake_parse)


class FakeWriter:
    """Says ``pieces``, or quotes the first passage; then raises ``error`` if there is one. ``tasks`` are those it was given."""

    kind, model = "fake", "fake-1"

    def __init__(self, *pieces: str, error: GeneratorUnavailable | None = None) -> None:
        self.pieces, self.error = pieces, error
        self.tasks: list[Task] = []
        self.closed = 0

    async def write(self, task: Task) -> AsyncIterator[str]:
        """See ``retrieval.answers.writer.Writer``."""
        self.tasks.append(task)
        try:
            for piece in self.pieces or (f"{task.passages[0].text} [1]",):
                yield piece
            if self.error is not None:
                raise self.error
        finally:
            self.closed += 1


def fake_engine(database: Database, encoder: FakeEncoder | None = None, writer: Writer | None = None) -> Engine:
    """An engine over ``database`` with the fakes, the real indexes and the real verifier."""
    encoder = encoder or FakeEncoder()
    return Engine(database, encoder, Index(database, encoder), writer or FakeWriter(), DeterministicVerifier())
