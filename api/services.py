"""The parts of a running service, opened from the settings in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from infra.database import Database, open_database
from infra.settings import Settings
from ingest.collections import DEFAULT_COLLECTION, ensure_collection
from ingest.pipeline import Ingestion
from ingest.runner import JobRunner
from ingest.sandbox import Sandbox
from ingest.spool import Spool
from retrieval.answer_scorer import CrossEncoderScorer
from retrieval.encoder import Encoder, RuntimeName, load_encoder
from retrieval.engine import Engine
from retrieval.extractive import ExtractiveWriter
from retrieval.generator import ModelWriter, Timeouts
from retrieval.index import Index
from retrieval.verifier import DeterministicVerifier
from retrieval.writer import Writer


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that requests and commands work with. The job runner is not started: only a server does that."""

    settings: Settings
    database: Database
    engine: Engine
    ingestion: Ingestion
    spool: Spool
    runner: JobRunner


@contextmanager
def open_services(settings: Settings) -> Iterator[Services]:
    """Open everything ``settings`` ask for, and close it afterwards.

    Raises ``SettingsError`` or ``Unavailable`` with one clear sentence if a part cannot be opened.
    """
    database = open_database(settings.database)
    sandbox = Sandbox(timeout_s=settings.parse_timeout_s, memory_mb=settings.parse_memory_mb)
    try:
        with database.write() as session:
            ensure_collection(session, DEFAULT_COLLECTION)
        encoder = open_encoder(settings)
        engine = Engine(
            database=database,
            encoder=encoder,
            index=Index(database, encoder),
            writer=open_writer(settings, encoder),
            verifier=DeterministicVerifier(),
        )
        ingestion = Ingestion(database, encoder, sandbox.parse)
        spool = Spool(settings.data_dir / "spool")
        yield Services(settings, database, engine, ingestion, spool, JobRunner(ingestion, spool))
    finally:
        sandbox.close()
        database.close()


def open_encoder(settings: Settings) -> Encoder:
    """The encoder that the settings name, on the runtime that they name."""
    runtime = cast("RuntimeName", settings.encoder_runtime)
    return load_encoder(settings.encoder, runtime=runtime, cache=settings.cache)


def open_writer(settings: Settings, encoder: Encoder) -> Writer:
    """The model server that the settings name, or the extractive writer."""
    if settings.llm_base_url is None:
        return ExtractiveWriter(encoder, CrossEncoderScorer())
    limit = float(settings.llm_timeout_s)
    return ModelWriter(
        settings.llm_base_url,
        settings.llm_model,
        "tgi" if settings.llm_api == "tgi" else "openai",
        settings.llm_api_key,
        timeouts=Timeouts(first_token_s=limit, between_tokens_s=min(30.0, limit), total_s=limit),
    )
