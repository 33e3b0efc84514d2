"""Progress of a job on a terminal: a bar with the rate and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from api.cli.context import err
from ingest.jobs import FINISHED

_POLL_S = 0.2
_PHASES = {"listing": "Listing", "storing": "Reading", "pruning": "Deleting", "indexing": "Indexing"}


class _Rate(ProgressColumn):
    """Documents a second."""

    def render(self, task: Task) -> Text:
        """See the base."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")


def progress_bar() -> Progress:
    """A bar on standard error that shows only on a terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def follow(look: Callable[[], Mapping[str, Any]], working: Callable[[], bool] = lambda: True) -> Mapping[str, Any]:
    """Show a job, as ``look`` tells it, until it is finished or ``working`` says that nobody is at it; the job as it is then."""
    with progress_bar() as progress:
        bar = progress.add_task("Waiting", total=None)
        while True:
            at_work = working()
            job = look()
            counts = job["counts"]
            done = sum(value for name, value in counts.items() if name != "scanned")
            listing = job["phase"] == "listing"
            progress.update(
                bar,
                description=_PHASES.get(job["phase"] or "", "Reading" if job["status"] == "running" else "Waiting"),
                completed=counts["scanned"] if listing else done,
                total=None if listing else counts["scanned"],
            )
            if job["status"] in FINISHED or not at_work:
                return job
            time.sleep(_POLL_S)
