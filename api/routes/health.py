"""``/health/live``, ``/health/ready``, ``/metrics`` and ``/v1/integrity``."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api.caller import Caller
from api.services import Services
from infra.errors import FootnoteError
from infra.telemetry import READY, render_metrics
from retrieval.generator.client import ModelWriter
from retrieval.integrity import check_integrity


@get("/health/live", sync_to_thread=False, summary="Liveness")
def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@get("/health/ready", summary="Readiness")
async def ready(services: NamedDependency[Services]) -> Response[dict[str, Any]]:
    """Each part's state. A model server that is down degrades answers, but searching goes on: that is no 503."""
    parts = {"database": await asyncio.to_thread(_database, services), "jobs": _jobs(services)}
    parts["index"] = await asyncio.to_thread(_index, services)
    parts["generator"] = await _generator(services)
    parts["encoder"] = {"ok": True, "name": services.engine.encoder.name}
    parts["verifier"] = {"ok": True, "name": services.engine.verifier.name}
    for name, part in parts.items():
        READY.labels(name).set(1 if part["ok"] else 0)
    needed = all(parts[name]["ok"] for name in ("database", "jobs", "index"))
    status = "ok" if all(part["ok"] for part in parts.values()) else "degraded" if needed else "unavailable"
    return Response({"status": status, "parts": parts}, status_code=200 if needed else 503)


@get("/metrics", sync_to_thread=False, media_type="text/plain; version=0.0.4", summary="Metrics")
def metrics() -> bytes:
    """Prometheus' text format."""
    return render_metrics()


@get("/v1/integrity", sync_to_thread=True, summary="Check the indexes against the database")
def integrity(services: NamedDependency[Services], caller: NamedDependency[Caller]) -> dict[str, Any]:
    """Count, for each collection, what the indexes lack or have too much of."""
    caller.require("admin")
    engine = services.engine
    body: dict[str, Any] = msgspec.to_builtins(check_integrity(services.database, engine.index))
    return body


def _database(services: Services) -> dict[str, Any]:
    try:
        with services.database.read() as session:
            session.execute(text("SELECT 1"))
    except (SQLAlchemyError, FootnoteError) as error:
        return {"ok": False, "detail": f"The database does not answer ({type(error).__name__})."}
    return {"ok": True, "kind": services.database.engine.dialect.name}


def _index(services: Services) -> dict[str, Any]:
    try:
        return {"ok": True, "detail": services.engine.index.check()}
    except FootnoteError as error:
        return {"ok": False, "detail": error.detail}


def _jobs(services: Services) -> dict[str, Any]:
    return {"ok": services.queue is not None and services.queue.alive()}


async def _generator(services: Services) -> dict[str, Any]:
    writer = services.engine.writer
    if not isinstance(writer, ModelWriter):
        return {"ok": True, "kind": writer.kind}
    health = await writer.health()
    return {"ok": health.ok, "kind": writer.kind, "model": health.model, "detail": health.detail}


HANDLERS = [live, ready, metrics, integrity]
