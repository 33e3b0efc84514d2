"""Work done side by side, as much of it at a time as there are lanes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType


class Lanes:
    """Runs pieces of work, ``width`` of them at the same time; with one lane, in the calling thread.

    ``run`` waits for a free lane, so that no work waits in memory. What a piece raised is raised by a later ``run`` or
    ``wait``, or at the end: then nothing new is begun, and what runs comes to its end first. Leaving by an exception waits
    too; leaving by Ctrl-C does not.
    """

    def __init__(self, width: int) -> None:
        self._pool = ThreadPoolExecutor(width, thread_name_prefix="lane") if width > 1 else None
        self._free = threading.Semaphore(width)
        self._running: set[Future[None]] = set()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def run(self, work: Callable[[], None]) -> None:
        """Begin ``work`` in the next free lane."""
        if self._pool is None:
            work()
            return
        self._free.acquire()
        if self._failure is not None:
            self._free.release()
            self.wait()
        try:
            future = self._pool.submit(self._do, work)
        except BaseException:
            self._free.release()
            raise
        with self._lock:
            self._running.add(future)
        future.add_done_callback(self._forget)

    def wait(self) -> None:
        """Wait until all lanes are free; raises what a piece of work raised."""
        for future in self._left():
            future.result()
        if self._failure is not None:
            raise self._failure

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:  # noqa: BLE001 - raised again where the work was asked for
            self._failure = self._failure or failure
        finally:
            self._free.release()

    def _forget(self, future: Future[None]) -> None:
        with self._lock:
            self._running.discard(future)

    def _left(self) -> list[Future[None]]:
        with self._lock:
            return list(self._running)

    def __enter__(self) -> Lanes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is None:
            return
        interrupted = kind is not None and not issubclass(kind, Exception)
        self._pool.shutdown(wait=not interrupted, cancel_futures=interrupted)
        if kind is None and self._failure is not None:
            raise self._failure
