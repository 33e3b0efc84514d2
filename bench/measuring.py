"""What benchmarks measure a process by: its clocks by step, its memory, and files that are in no cache."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import numpy as np

_P = ParamSpec("_P")
_T = TypeVar("_T")


def quantile(values: Iterable[float], part: float) -> float:
    """A quantile, to the microsecond if the values are milliseconds."""
    return round(float(np.quantile(list(values), part)), 3)


def memory() -> dict[str, float]:
    """This process's main memory in MiB: all, ``pss`` with its part of what several share, ``anonymous`` what is in no file."""
    found = {}
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, size, *_ = line.split()
        if name in ("Rss:", "Pss:", "Anonymous:"):
            found[name[:-1].lower()] = round(int(size) / 1024, 1)
    return found


class Peak:
    """The highest ``memory()`` while it is open, looked at twice a second; in MiB."""

    def __init__(self) -> None:
        self.most: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            self._look()

    def _look(self) -> None:
        for name, size in memory().items():
            self.most[name] = max(size, self.most.get(name, 0.0))


class Steps:
    """Seconds by step: by the clock, and of the process's processor time (threads that work beside a step count to it)."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = {}
        self._open: set[str] = set()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count the block to a step; a step within itself counts once."""
        if name in self._open:
            yield
            return
        self._open.add(name)
        begun, busy = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self._open.remove(name)
            taken = self.taken.setdefault(name, [0.0, 0.0])
            taken[0] += time.perf_counter() - begun
            taken[1] += time.process_time() - busy

    def counted(self, name: str, call: Callable[_P, _T]) -> Callable[_P, _T]:
        """``call``, each time counted to a step."""

        def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            with self.step(name):
                return call(*args, **kwargs)

        return wrapped

    def watch(self, place: Any, attribute: str, name: str) -> None:
        """Count a function of a module, or a method of a class, to a step from now on."""
        setattr(place, attribute, self.counted(name, getattr(place, attribute)))

    def told(self) -> dict[str, dict[str, float]]:
        """The seconds, rounded."""
        return {name: {"s": round(s, 2), "cpu_s": round(cpu, 2)} for name, (s, cpu) in self.taken.items()}


def evict(paths: Iterable[Path]) -> None:
    """Have the system forget the content of files, so that they are read from the disk; not what a process has mapped."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
