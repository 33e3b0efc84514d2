"""``/v1/jobs``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from litestar import delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from api.caller import Caller
from api.paging import Cursor, Limit, decode_cursor, page
from api.services import Services
from api.sse import event_stream
from ingest.jobs import FINISHED, describe, get_job, list_jobs
from ingest.uploads import cancel_job, job_blobs

_POLL_S = 0.25


@get("/v1/jobs", sync_to_thread=True, summary="List jobs")
def list_all(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """The caller's jobs, newest first; an administrator sees all."""
    caller.require("ingest")
    with services.database.read() as session:
        found, last = list_jobs(session, caller.owner_filter, limit, decode_cursor(cursor))
        return page([describe(job) for job in found], last)


@get("/v1/jobs/{job_id:str}", sync_to_thread=True, summary="Show a job")
def show(job_id: FromPath[str], services: NamedDependency[Services], caller: NamedDependency[Caller]) -> dict[str, Any]:
    """A job's status, counts and failures."""
    caller.require("ingest")
    with services.database.read() as session:
        return describe(get_job(session, job_id, caller.owner_filter))


@get("/v1/jobs/{job_id:str}/events", summary="Follow a job", media_type="text/event-stream")
async def events(job_id: FromPath[str], services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Stream:
    """Server-sent events: ``progress`` whenever the job changes, then ``done``; each carries the job."""
    caller.require("ingest")

    def look() -> dict[str, Any]:
        with services.database.read() as session:
            return describe(get_job(session, job_id, caller.owner_filter))

    first = await asyncio.to_thread(look)

    async def follow() -> AsyncIterator[tuple[str, Any]]:
        job = first
        shown: dict[str, Any] | None = None
        while job["status"] not in FINISHED:
            if job != shown:
                yield "progress", job
                shown = job
            await asyncio.sleep(_POLL_S)
            job = await asyncio.to_thread(look)
        yield "done", job

    return event_stream(follow())


@delete("/v1/jobs/{job_id:str}", sync_to_thread=True, status_code=200, summary="Cancel a job")
def cancel(
    job_id: FromPath[str], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """Cancel a job: documents that are done stay, those that wait are dropped."""
    caller.require("ingest")
    with services.database.write() as session:
        job = cancel_job(session, job_id, caller.owner_filter)
        # A batch that is being read just now goes without: its outcomes are not kept.
        described, blobs = describe(job), job_blobs(session, job_id)
    services.spool.remove(blobs)
    return described


HANDLERS = [list_all, show, events, cancel]
