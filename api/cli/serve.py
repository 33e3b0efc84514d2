"""``footnote serve`` and ``footnote worker``."""

from __future__ import annotations

import signal
import threading
from typing import Any

import typer
import uvicorn

from infra.settings import Settings
from infra.telemetry import configure_logging
from ingest.runner import sweep

from api.cli.context import local_settings
from api.services import open_services


def serve(
    host: str = typer.Option(None, help="Address to listen on (FOOTNOTE_HOST)."),
    port: int = typer.Option(None, help="Port to listen on (FOOTNOTE_PORT)."),
    workers: int = typer.Option(None, help="Server processes (FOOTNOTE_WORKERS)."),
) -> None:
    """Serve the API and the page."""
    given = {"host": host, "port": port, "workers": workers}
    settings = local_settings(**{name: str(value) for name, value in given.items() if value is not None})
    configure_logging(settings.log_format)
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": 10,
    }
    if settings.workers == 1:
        uvicorn.run(app_from(settings), **options)
    else:
        # Each process reads the settings again by itself: only a name can be handed to it.
        uvicorn.run("api.cli.serve:app_from_environment", factory=True, workers=settings.workers, **options)


def app_from(settings: Settings) -> Any:
    """The web application for ``settings``."""
    from api.app import create_app  # noqa: PLC0415 - loads the web framework, seconds that other commands need not spend

    return create_app(settings)


def app_from_environment() -> Any:
    """The web application for the environment's settings: the entry of each of several processes."""
    settings = local_settings()
    configure_logging(settings.log_format)
    return app_from(settings)


def worker() -> None:
    """Work off ingestion jobs without serving, beside servers on the same database."""
    settings = local_settings()
    configure_logging(settings.log_format)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with open_services(settings) as services:
        sweep(services.ingestion, services.spool)
        services.runner.start()
        stopped.wait()
        services.runner.stop()
