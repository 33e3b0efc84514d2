"""A process that works off jobs and is there to be killed: the real queue, sync, pipeline and commits over a fake encoder.

Run as a program it forks one such process for each line of JSON on its standard input, so that the libraries are loaded once
and not for each life: it writes the child's pid, and ``ended`` when the child is dead. What runs in the child before its
first line of Python costs nothing on disk, so a kill there would prove nothing.

The child pauses at random, inside transactions too, and says in the file ``where`` what it is at.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import event

sys.path.insert(0, str(Path(__file__).parent))
from fakes import FakeEncoder, fake_parse

from infra.database import Database, open_database
from ingest.elements import ParsedDocument
from ingest.pipeline import Ingestion
from ingest.queue import JobQueue
from ingest.runner import JobRunner, sweep
from ingest.sources.directory import DirectoryReader
from ingest.sources.entry import Entry
from ingest.spool import Spool
from ingest.sync import Sync
from retrieval.encoders.encoder import Kind

LONGEST_LIFE_S = 900
WIDTH = 24
IDLE = "idle"
STEPS = {"_list": "listing", "_move": "moving", "_store": "storing", "_prune": "pruning", "_begin": "beginning"}
_thread = threading.local()


class Whereabouts:
    """Notes in a file what the process is at: the step, and ``!`` within a transaction that writes."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT)
        self._step = ""

    def note(self, step: str, transaction: bool = False) -> None:
        self._step = step
        os.pwrite(self._file, f"{step}{'!' if transaction else ''}".ljust(WIDTH).encode(), 0)

    def transaction(self, inside: bool) -> None:
        self.note(self._step, inside)


def pause(chance: float, longest_s: float) -> None:
    """Sleep now and then."""
    if random.random() < chance:
        time.sleep(random.random() * longest_s)


class SlowEncoder(FakeEncoder):
    def encode(self, texts: Sequence[str], *, kind: Kind = "document") -> NDArray[np.float32]:
        pause(1, 0.04)
        return super().encode(texts, kind=kind)


class SlowReader(DirectoryReader):
    def entries(self) -> Iterator[Entry]:
        for entry in super().entries():
            pause(0.05, 0.01)
            yield entry


def slow_parse(path: Path, filename: str, content_type: str | None = None) -> ParsedDocument:
    pause(0.3, 0.01)
    return fake_parse(path, filename, content_type)


def _noted(where: Whereabouts, step: str, after: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapper(*arguments: Any) -> Any:
        _thread.working = True
        where.note(step)
        try:
            return method(*arguments)
        finally:
            where.note(after)

    return wrapper


def _slow_down(database: Database, where: Whereabouts) -> None:
    """Pause inside transactions of the jobs' threads, and say so."""

    def writes(connection: Any) -> bool:
        working = getattr(_thread, "working", False)
        return bool(working and connection.get_execution_options().get("footnote_write"))

    def begin(connection: Any) -> None:
        if writes(connection):
            where.transaction(True)

    def execute(connection: Any, *_: Any) -> None:
        if writes(connection):
            pause(0.03, 0.03)

    def commit(connection: Any) -> None:
        if writes(connection):
            pause(0.3, 0.02)
            where.transaction(False)

    event.listen(database.engine, "begin", begin)
    event.listen(database.engine, "before_cursor_execute", execute)
    event.listen(database.engine, "commit", commit)


def live(url: str, address: str, spool: str, where: str) -> None:
    """Work off jobs until killed; ``SIGTERM`` ends it in order."""
    signal.alarm(LONGEST_LIFE_S)
    faulthandler.register(signal.SIGUSR1)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    notes = Whereabouts(Path(where))
    notes.note("start-up")
    database = open_database(url)
    _slow_down(database, notes)
    for name, step in STEPS.items():
        setattr(Sync, name, _noted(notes, step, "between", getattr(Sync, name)))
    JobRunner.run = _noted(notes, "between", IDLE, JobRunner.run)  # type: ignore[method-assign]
    ingestion = Ingestion(database, SlowEncoder(), slow_parse)
    sweep(ingestion, Spool(Path(spool)))
    runner = JobRunner(ingestion, Spool(Path(spool)), lambda source: SlowReader(Path(source.uri)))
    queue = JobQueue(runner, address)
    queue.start()
    if notes._step == "start-up":
        notes.note("waiting")
    while not ended.wait(0.5):
        pass
    queue.stop()
    database.close()


def main() -> None:
    """Fork a child for each line, one after the other."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                live(**json.loads(line))
                status = 0
            finally:
                os._exit(status)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print("ended", os.waitstatus_to_exitcode(status), flush=True)


class Victim:
    """The driver's side: starts one process after the other, and ends it."""

    def __init__(self, where: Path, **arguments: str) -> None:
        self._where = where
        self._line = json.dumps({**arguments, "where": str(where)}) + "\n"
        self._forker = subprocess.Popen(
            [sys.executable, __file__],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid: int | None = None

    def start(self) -> None:
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        self._where.write_text("start-up".ljust(WIDTH))
        self._forker.stdin.write(self._line)
        self._forker.stdin.flush()
        self.pid = int(self._forker.stdout.readline())

    def where(self) -> str:
        """What it is at now."""
        return self._where.read_text().strip()

    def end(self, signum: int = signal.SIGKILL) -> str:
        """Send the signal, wait until it is dead, and tell what it was at. A process that had died by itself is an error."""
        assert self.pid is not None
        assert self._forker.stdout is not None
        os.kill(self.pid, signum)
        told = self._forker.stdout.readline().split()
        self.pid = None
        assert told == ["ended", str(-signum if signum == signal.SIGKILL else 0)], told
        return self.where()

    def show_stacks(self) -> None:
        """On its standard error: what all of its threads are doing."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGUSR1)
            time.sleep(1)

    def close(self) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        self._forker.stdin.close()
        self._forker.wait(60)
        self._forker.stdout.close()


if __name__ == "__main__":
    main()
