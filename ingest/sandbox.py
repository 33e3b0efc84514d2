"""Parsing in processes of their own: a file that crashes, hangs or swallows memory costs that file only."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

import msgspec

from infra import errors
from infra.errors import FootnoteError, Unavailable, Unprocessable
from ingest.elements import ParsedDocument
from ingest.languages import check_languages
from ingest.worker import Job, Outcome, read_bytes, write_message

_START_S = 120.0
_END_S = 5.0
_RECYCLE_AFTER = 500  # files: libraries keep caches, and fragments of memory
_PROGRAMS = ("soffice", "libreoffice", "tesseract")
_ROOT = Path(__file__).resolve().parent.parent


class Sandbox:
    """Worker processes that parse; safe to use from several threads.

    A worker is started when it is first needed, which takes seconds, and serves many files. ``timeout_s`` and
    ``memory_mb`` are what one file may take; ``workers`` is how many files are parsed at the same time; ``ocr``
    names the languages that text is recognised in, as in ``eng+deu``. Workers see nothing of this process's
    environment, and end with it however it ends. Raises ``SettingsError`` if ``ocr`` is not installed.
    """

    def __init__(self, *, timeout_s: float, memory_mb: int, workers: int = 2, ocr: str | None = None) -> None:
        if ocr is not None:
            check_languages(ocr)
        self._ocr = ocr
        self._timeout_s, self._memory_mb = timeout_s, memory_mb
        self._scratch = tempfile.TemporaryDirectory(prefix="footnote-parse-", ignore_cleanup_errors=True)
        self._places: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(max(1, workers)):
            self._places.put(None)
        self._workers = max(1, workers)
        self._closed = False

    def parse(self, path: Path, filename: str, content_type: str | None = None) -> ParsedDocument:
        """Parse the file at ``path``; ``filename`` and ``content_type`` help to tell its format.

        Raises ``Unsupported`` or ``Unprocessable`` as ``ingest.parse.parse`` does, and ``Unprocessable``
        with ``parse_timeout``, ``parse_memory`` or ``malformed`` (a crash) for a file that the worker did
        not survive.
        """
        worker = self._places.get()
        try:
            if self._closed:
                raise Unavailable("The document parser is shut down.", code="parser_closed")
            if worker is None:
                worker = _Worker(self._memory_mb, Path(self._scratch.name), self._ocr)
            outcome = worker.run(path, filename, content_type, self._timeout_s)
        finally:
            if worker is not None and (worker.spent or self._closed):
                worker.stop()
                worker = None
            self._places.put(worker)
        if outcome.parsed is not None:
            return outcome.parsed
        kind = getattr(errors, outcome.error, Unprocessable)
        if not (isinstance(kind, type) and issubclass(kind, FootnoteError)):
            kind = Unprocessable
        raise kind(outcome.detail, code=outcome.code)

    def close(self) -> None:
        """Stop the workers, once the files that they are at are done."""
        if self._closed:
            return
        self._closed = True
        for _ in range(self._workers):
            if (worker := self._places.get()) is not None:
                worker.stop()
        for _ in range(self._workers):
            self._places.put(None)
        self._scratch.cleanup()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Worker:
    """One worker process, used by one thread at a time. ``spent`` says that it must not be used again."""

    def __init__(self, memory_mb: int, scratch: Path, ocr: str | None) -> None:
        self._files = 0
        self.spent = False
        # A folder of its own: what a killed worker and its converters leave behind goes with it.
        self._folder = tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True)
        self._log = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - closed in stop()
        # Not this process's environment: it holds keys and passwords that a parser has no business with.
        environment = {
            "PATH": _search_path(),
            "PYTHONPATH": str(_ROOT),
            "PYTHONUTF8": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
            "TMPDIR": self._folder.name,
            "HOME": self._folder.name,
            "OMP_NUM_THREADS": "1",
            "OMP_THREAD_LIMIT": "1",  # Tesseract's
            "OPENBLAS_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "ingest.worker", str(memory_mb), *([ocr] if ocr else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            cwd=self._folder.name,
            start_new_session=True,
        )
        if self._answer(_START_S) is None:
            self._log.seek(0)
            last = self._log.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            self.stop()
            raise Unavailable(f"The document parser could not be started: {' '.join(last) or 'no reason given'}")

    def run(self, path: Path, filename: str, content_type: str | None, timeout_s: float) -> Outcome:
        """The outcome of one file; a worker that did not answer is killed, and says why by an outcome too."""
        self._files += 1
        job = Job(str(path.absolute()), filename, content_type, int(timeout_s) + 30)
        deadline = time.monotonic() + timeout_s
        try:
            if self._process.stdin is None:
                raise RuntimeError("the worker was started without a pipe")
            write_message(self._process.stdin, job)
            outcome = self._answer(timeout_s)
        except BrokenPipeError:
            outcome = None
        except BaseException:  # the calling thread was interrupted: the answer would go to the next file
            self.spent = True
            raise
        if outcome is not None:
            self.spent = self._files >= _RECYCLE_AFTER or outcome.code == "parse_memory"
            return outcome
        self.spent = True
        late = time.monotonic() >= deadline
        if not late:  # it ended by itself, and how it did is the verdict: do not kill it on its way out
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        self._kill()
        return _did_not_answer(self._process.wait(), timeout_s if late else None)

    def _answer(self, timeout_s: float) -> Outcome | None:
        """The next message; None if the process ended, or did not answer in time."""
        stream = self._process.stdout
        if stream is None:
            raise RuntimeError("the worker was started without a pipe")
        ready, _, _ = select.select([stream], [], [], timeout_s)
        # Once a message begins, the rest follows at once: it is written in one go.
        data = read_bytes(stream) if ready else None
        return None if data is None else msgspec.msgpack.decode(data, type=Outcome)

    def stop(self) -> None:
        """End the process and what it started."""
        self._kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
        self._folder.cleanup()

    def _kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)


def _search_path() -> str:
    """Where a worker finds programs: the system's folders, and those of the converters that this process would find."""
    found = [path for path in (shutil.which(name) for name in _PROGRAMS) if path is not None]
    return os.pathsep.join(dict.fromkeys([*os.defpath.split(os.pathsep), *(str(Path(path).parent) for path in found)]))


def _did_not_answer(returncode: int, timeout_s: float | None) -> Outcome:
    error = Unprocessable.__name__
    if timeout_s is not None:
        detail = f"Reading the file took longer than the {timeout_s:g} seconds that a file may take."
        return Outcome(error=error, code="parse_timeout", detail=detail)
    if returncode == -signal.SIGKILL:
        return Outcome(error=error, code="parse_memory", detail="Reading the file took too much memory.")
    if returncode == -signal.SIGXCPU:
        return Outcome(error=error, code="parse_timeout", detail="Reading the file took too long.")
    return Outcome(error=error, code="malformed", detail="The file is damaged: its reader crashed on it.")
