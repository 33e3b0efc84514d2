"""The web application: every route, error and limit in one place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from litestar import Litestar, Router
from litestar.config.compression import CompressionConfig
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from sqlalchemy.exc import DataError

from api.body import StrictRequest
from api.dependencies import DEPENDENCIES, authenticate
from api.http import RequestFrame
from api.idempotency import Idempotency
from api.openapi_page import ApiPage
from api.problems import on_footnote_error, on_http_exception, on_unexpected, on_unstorable
from api.routes import (
    answers,
    collections,
    documents,
    evals,
    health,
    jobs,
    keys,
    openai,
    page,
    search,
    sources,
    suggestions,
    verify,
)
from api.services import open_services
from api.turns import Turns
from api.version import version
from infra.errors import FootnoteError
from infra.settings import Settings
from ingest.runner import sweep
from retrieval.generator.client import ModelWriter

_ROUTES = (
    page,
    search,
    answers,
    verify,
    suggestions,
    collections,
    documents,
    sources,
    jobs,
    evals,
    keys,
    openai,
    health,
)
# Multipart forms carry boundaries and field names beside the files.
_FORM_OVERHEAD = 2**20
# Fewer than the database has connections, so that no request waits for one.
_THREADS = 40


def create_app(settings: Settings) -> Litestar:
    """The application for ``settings``; the services are opened when it starts and closed when it stops."""

    def lifespan(app: Litestar) -> AbstractAsyncContextManager[None]:
        return _lifespan(app, settings)

    return Litestar(
        # One router, for Litestar 2.25 wraps a handler once more each time that its path is registered.
        route_handlers=[Router("/", route_handlers=[handler for module in _ROUTES for handler in module.HANDLERS])],
        dependencies=DEPENDENCIES,
        guards=[authenticate],
        request_class=StrictRequest,
        middleware=[RequestFrame(loopback_only=settings.auth == "off"), Idempotency()],
        exception_handlers={
            FootnoteError: on_footnote_error,
            HTTPException: on_http_exception,
            RecursionError: on_unstorable,
            DataError: on_unstorable,
            Exception: on_unexpected,
        },
        lifespan=[lifespan],
        state=State(),
        request_max_body_size=settings.max_upload_mb * 2**20 + _FORM_OVERHEAD,
        compression_config=CompressionConfig(
            backend="gzip", minimum_size=2000, exclude=["/v1/answer", "/v1/chat", "/v1/jobs"]
        ),
        openapi_config=OpenAPIConfig(
            title="Footnote",
            version=version(),
            description="Answers from your documents, with the proving passage under every sentence.",
            path="/schema",
            use_handler_docstrings=True,
            render_plugins=[ApiPage()],
            components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
            security=[{"key": []}],
        ),
        logging_config=None,
    )


@asynccontextmanager
async def _lifespan(app: Litestar, settings: Settings) -> AsyncIterator[None]:
    # The loop's own default is as many threads as cores and four: a few requests that wait for the disk would stop the rest.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="requests"))
    with open_services(settings, queue=True) as services:
        app.state.services = services
        app.state.turns = Turns()
        sweep(services.ingestion, services.spool)
        queue = services.queue
        if queue is not None:
            await asyncio.to_thread(queue.start)
        try:
            yield
        finally:
            if queue is not None:
                await asyncio.to_thread(queue.stop)
            if isinstance(services.engine.writer, ModelWriter):
                await services.engine.writer.aclose()
