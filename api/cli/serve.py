"""``footnote serve`` and ``footnote worker``."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import threading
from dataclasses import replace
from typing import Any

import typer
import uvicorn

from api.cli.context import local_settings
from api.services import open_services
from infra.settings import Settings
from infra.telemetry import configure_logging
from ingest.runner import sweep


def serve(
    host: str = typer.Option(None, help="Address to listen on (FOOTNOTE_HOST)."),
    port: int = typer.Option(None, help="Port to listen on (FOOTNOTE_PORT)."),
    workers: int = typer.Option(None, help="Server processes (FOOTNOTE_WORKERS)."),
    example: str = typer.Option(None, help="Once ready, print a curl command that asks this."),
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
        server = _Announcing(uvicorn.Config(app_from(settings), **options), settings, example)
        server.run()
        if not server.started:
            raise typer.Exit(1)
    else:
        typer.echo(announcement(settings, example))
        # Each process reads the settings again by itself: only a name can be handed to it.
        uvicorn.run("api.cli.serve:app_from_environment", factory=True, workers=settings.workers, **options)


class _Announcing(uvicorn.Server):
    """A server that says where it is, once it answers there."""

    def __init__(self, config: uvicorn.Config, settings: Settings, example: str | None) -> None:
        super().__init__(config)
        self._text = announcement(settings, example)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See the base."""
        await super().startup(sockets)
        if self.started:
            typer.echo(self._text)


def announcement(settings: Settings, example: str | None) -> str:
    """Where the service is, and a question to try."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    lines = [f"Footnote serves on {url} (API: {url}/schema)"]
    if example is not None:
        body = json.dumps({"question": example})
        command = f"  curl -s {url}/v1/answer -H 'Content-Type: application/json' \\"
        lines += ["", "Try:", command, f"    -d {shlex.quote(body)}", ""]
    return "\n".join(lines)


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
    """Work off jobs without serving, beside servers on the same database."""
    settings = local_settings()
    # Where servers leave the jobs to workers, the same environment says 0 to both.
    settings = replace(settings, job_concurrency=settings.job_concurrency or 2)
    configure_logging(settings.log_format)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with open_services(settings, queue=True) as services:
        sweep(services.ingestion, services.spool)
        if services.queue is not None:
            services.queue.start()
            typer.echo(f"Works on jobs, {settings.job_concurrency} at a time.")
            stopped.wait()
            services.queue.stop()
