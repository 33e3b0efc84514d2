"""Working on a job in the command's own process, with its progress on the terminal."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from api.cli.progress import follow
from api.services import Services
from infra.errors import Conflict
from infra.tables import Job
from ingest import jobs
from ingest.uploads import cancel_job


def check_free(job: Job) -> None:
    """Raise ``Conflict`` if another process that lives works on the job."""
    if job.status == "running" and not jobs.abandoned(job):
        raise Conflict(f"Another process works on this already, as job {job.id}: wait for it.", code="job_running")


def run_here(services: Services, job_id: str) -> Mapping[str, Any]:
    """Work a job to its end and give it as it is then; Ctrl-C cancels it, and what failed is raised."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            services.runner.run(job_id)
        except BaseException as failure:  # noqa: BLE001 - raised again below, in the thread that shows it
            failures.append(failure)

    def look() -> dict[str, Any]:
        with services.database.read() as session:
            return jobs.describe(session.get_one(Job, job_id))

    thread = threading.Thread(target=work, name="job", daemon=True)
    thread.start()
    try:
        told = follow(look, thread.is_alive)
    except KeyboardInterrupt:
        with services.database.write() as session:
            cancel_job(session, job_id, None)
        raise
    thread.join()
    if failures:
        services.runner.give_up(job_id, "The command that worked on it failed.")
        raise failures[0]
    return told
