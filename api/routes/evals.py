"""``/v1/evals``: gold sets and runs over REST; the command line does the same."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import structlog
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.orm import Session

from api.caller import Caller
from api.services import Services, open_writer
from api.wire import NewGoldSet, NewRun
from evals.evaluate import Request, evaluate
from evals.gold import items_from
from evals.report import render
from evals.service import ServiceSubject
from evals.store import fail_abandoned, is_abandoned, load_run, save_goldset
from infra.clock import iso
from infra.errors import Conflict, FootnoteError, NotFound
from infra.tables import EvalRun
from ingest.collections import get_collection
from retrieval.generator.client import ModelWriter

log = structlog.get_logger()


@post("/v1/evals/goldsets", sync_to_thread=True, summary="Store a gold set")
def store_goldset(
    data: JSONBody[NewGoldSet], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """Store gold items about a collection, replacing a set of the same name; its runs stay."""
    caller.require("eval")
    items = list(items_from((f"items[{number}]", item) for number, item in enumerate(data.items)))
    with services.database.write() as session:
        get_collection(session, data.collection)
        replaced = save_goldset(session, data.name, data.collection, items)
    answerable = sum(item.answerable for item in items)
    return {
        "name": data.name,
        "collection": data.collection,
        "items": len(items),
        "answerable": answerable,
        "replaced": replaced,
    }


@post("/v1/evals/runs", status_code=202, summary="Run a gold set")
async def start_run(
    data: JSONBody[NewRun], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """Start a run; follow it by ``GET /v1/evals/runs/{run_id}``."""
    caller.require("eval")
    request = Request(data.goldset, data.collection, data.mode, data.answers, data.baseline)
    started: Future[str] = Future()
    # A thread with a loop of its own: a run searches and scores for minutes, and requests must not wait for it.
    threading.Thread(target=_work, args=(services, request, started), name="eval", daemon=True).start()
    return {"run": await asyncio.wrap_future(started), "status": "running"}


@get("/v1/evals/runs/{run_id:str}", sync_to_thread=True, summary="Show a run")
def show_run(
    run_id: FromPath[str], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """A run's status and, once it has finished, its metrics and verdict."""
    caller.require("eval")
    with services.database.read() as session:
        abandoned = is_abandoned(_row(session, run_id))
    if abandoned:
        with services.database.write() as session:
            fail_abandoned(session)
    with services.database.read() as session:
        row = _row(session, run_id)
        summary = load_run(session, run_id).summary() if row.result is not None else {}
        state = {"status": row.status, "created_at": iso(row.created_at), "finished_at": iso(row.finished_at)}
        return {"run": run_id, "goldset": row.goldset, "verdict": row.verdict, **summary, **state}


@get("/v1/evals/runs/{run_id:str}/report", sync_to_thread=True, media_type="text/html", summary="Show a run's report")
def report(run_id: FromPath[str], services: NamedDependency[Services], caller: NamedDependency[Caller]) -> str:
    """The run as one HTML page, with every item."""
    caller.require("eval")
    with services.database.read() as session:
        if _row(session, run_id).result is None:
            raise Conflict("This run has not finished.", code="run_not_finished")
        return render(load_run(session, run_id))


def _work(services: Services, request: Request, started: Future[str]) -> None:
    try:
        asyncio.run(_evaluate(services, request, started))
    except FootnoteError as error:
        if not started.done():
            started.set_exception(error)
    except Exception as error:
        # The run is recorded as failed; a request that still waits for its id is told, the log says why.
        log.exception("eval.crashed", goldset=request.goldset)
        if not started.done():
            started.set_exception(error)


async def _evaluate(services: Services, request: Request, started: Future[str]) -> None:
    writer = services.engine.writer
    if isinstance(writer, ModelWriter):
        # A model server's client belongs to one event loop: this thread's needs its own.
        writer = open_writer(services.settings, services.engine.encoder)
    subject = ServiceSubject(replace(services.engine, writer=writer))
    try:
        await evaluate(services.database, subject, request, started_as=started.set_result)
    finally:
        if isinstance(writer, ModelWriter):
            await writer.aclose()


def _row(session: Session, run_id: str) -> EvalRun:
    row = session.get(EvalRun, run_id)
    if row is None:
        raise NotFound("There is no such run.", code="run_not_found")
    return row


HANDLERS = [store_goldset, start_run, show_run, report]
