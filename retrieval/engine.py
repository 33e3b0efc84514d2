"""The parts that answering needs, opened once and handed down."""

from __future__ import annotations

from dataclasses import dataclass

from infra.database import Database
from retrieval.answers.writer import Writer
from retrieval.encoders.encoder import Encoder
from retrieval.ranking.reranker import Reranker
from retrieval.verify.verification import Verifier
from retrieval.views import Views


@dataclass(frozen=True, slots=True)
class Engine:
    """Database, encoder, index, writer, verifier and, if one is configured, the reranker of one running service or command."""

    database: Database
    encoder: Encoder
    index: Views
    writer: Writer
    verifier: Verifier
    reranker: Reranker | None = None
