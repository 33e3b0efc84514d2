"""The parts that answering needs, opened once and handed down."""

from __future__ import annotations

from dataclasses import dataclass

from infra.database import Database
from retrieval.encoder import Encoder
from retrieval.verification import Verifier
from retrieval.views import Views
from retrieval.writer import Writer


@dataclass(frozen=True, slots=True)
class Engine:
    """Database, encoder, index, writer and verifier of one running service or command."""

    database: Database
    encoder: Encoder
    index: Views
    writer: Writer
    verifier: Verifier
