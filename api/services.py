"""The parts of a running service, opened from the settings in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

from infra.database import Database, open_database
from infra.settings import Settings
from infra.tables import Source
from ingest.collections import DEFAULT_COLLECTION, ensure_collection
from ingest.pipeline import Ingestion
from ingest.runner import JobRunner, Queue
from ingest.sandbox import Sandbox
from ingest.scratch import scratch_folder
from ingest.source import reader_options
from ingest.sources.entry import SourceReader
from ingest.sources.open import open_source
from ingest.spool import Spool
from retrieval.answers.extractive import ExtractiveWriter
from retrieval.answers.scorer import CrossEncoderScorer
from retrieval.answers.writer import Writer
from retrieval.encoders.encoder import (
    DEFAULT_ENCODER,
    INT8_ENCODER,
    Encoder,
    RuntimeName,
    load_encoder,
    stem_of,
)
from retrieval.encoders.others import OtherEncoders
from retrieval.engine import Engine
from retrieval.generations.indexing import IndexFiles
from retrieval.generator.client import ModelWriter, Timeouts
from retrieval.index import Index
from retrieval.ranking.reranker import load_reranker
from retrieval.verify.verifier import DeterministicVerifier
from retrieval.views import Views


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that requests and commands work with. Only servers and workers have a ``queue``, which they start."""

    settings: Settings
    database: Database
    engine: Engine
    ingestion: Ingestion
    spool: Spool
    runner: JobRunner
    queue: Queue | None = None

    def wake(self) -> None:
        """Have new jobs looked at now, if this process works on jobs."""
        if self.queue is not None:
            self.queue.wake()


@contextmanager
def open_services(settings: Settings, *, queue: bool = False) -> Iterator[Services]:
    """Open everything ``settings`` ask for (with ``queue``: also what works off jobs), and close it afterwards.

    Raises ``SettingsError`` or ``Unavailable`` with one clear sentence if a part cannot be opened.
    """
    sandbox = Sandbox(timeout_s=settings.parse_timeout_s, memory_mb=settings.parse_memory_mb, ocr=settings.ocr)
    database = open_database(settings.database)
    index: Views | None = None
    try:
        with database.write() as session:
            ensure_collection(session, DEFAULT_COLLECTION)
        encoder, others = open_encoder(settings), other_encoders(settings)
        index = open_index(settings, database, encoder, others)
        engine = Engine(
            database=database,
            encoder=encoder,
            index=index,
            writer=open_writer(settings, encoder),
            verifier=DeterministicVerifier(),
            reranker=load_reranker(settings.reranker, encoder),
            others=others,
        )
        ingestion = Ingestion(database, encoder, sandbox.parse, others=others)
        spool = Spool(settings.data_dir / "spool", settings.max_waiting_mb * 2**20)
        runner = JobRunner(
            ingestion,
            spool,
            lambda source: open_source_of(settings, source),
            IndexFiles(database, encoder, settings.index_dir if settings.index_url is None else None),
        )
        yield Services(
            settings, database, engine, ingestion, spool, runner, _open_queue(settings, runner) if queue else None
        )
    finally:
        if index is not None:
            index.close()
        sandbox.close()
        database.close()


def open_source_of(settings: Settings, source: Source) -> SourceReader:
    """The reader of a stored source."""
    return open_source(
        source.kind,
        source.uri,
        reader_options(source.options),
        include=source.include,
        exclude=source.exclude,
        scratch=scratch_folder(settings.data_dir),
        allow_addresses=settings.source_addresses,
        secrets=settings.secrets,
    )


def _open_queue(settings: Settings, runner: JobRunner) -> Queue:
    from ingest.queue import JobQueue  # noqa: PLC0415 - loads the job library: commands that only ask need not wait

    address = settings.database
    if address.startswith("sqlite:"):
        address = f"sqlite:///{settings.data_dir.absolute() / 'jobs.db'}"
    merge_chunks = settings.merge_chunks if settings.index_url is None else 0
    return JobQueue(runner, address, settings.job_concurrency, settings.keep_versions_days, merge_chunks)


def open_encoder(settings: Settings) -> Encoder:
    """The encoder that the settings name, on the runtime that they name."""
    runtime = cast("RuntimeName", settings.encoder_runtime)
    return load_encoder(settings.encoder, runtime=runtime, cache=settings.cache)


def other_encoders(settings: Settings) -> OtherEncoders:
    """The built-in encoders and the previous one, loaded when a collection turns out to need them."""
    runtime = cast("RuntimeName", settings.encoder_runtime)
    names = {DEFAULT_ENCODER, INT8_ENCODER, *([settings.previous_encoder] if settings.previous_encoder else [])}
    return OtherEncoders(
        {stem_of(name): partial(load_encoder, name, runtime=runtime, cache=settings.cache) for name in names}
    )


def open_index(settings: Settings, database: Database, encoder: Encoder, others: OtherEncoders) -> Views:
    """The indexes where the settings say that they are; of Milvus nothing is asked before the first search."""
    if settings.index_url is None:
        return Index(database, encoder, settings.index_dir, others=others)
    from retrieval.milvus.index import MilvusIndex  # noqa: PLC0415 - its client takes a second to load, and is an extra

    return MilvusIndex(database, encoder, settings.index_url, settings.index_token, others=others)


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
