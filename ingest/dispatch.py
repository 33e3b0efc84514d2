"""Which worker of a cluster gets what: work goes to whoever has the least to do, and again to another if one dies over it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from infra.errors import Unavailable
from ingest.cluster import Identity, Refusal, raised

# How long there may be no worker at all before the cluster counts as gone.
_GONE_S = 120.0
# A piece of work that so many workers died of, or with, is given up.
_ATTEMPTS = 4
_POLL_S = 0.5

log = structlog.get_logger()


class WorkerLost(Exception):  # noqa: N818 - a signal between the two sides of this seam
    """The worker has died, or cannot be reached."""


class ResultLost(Exception):  # noqa: N818 - a signal between the two sides of this seam
    """The work was done or begun, and its result is gone; the worker may be well."""


class Call(Protocol):
    """Work under way at a worker."""

    def done(self, timeout_s: float) -> bool:
        """Whether it has ended, after waiting so long at most."""
        ...

    def result(self) -> Any:
        """What it gave; raises what it raised, ``WorkerLost`` or ``ResultLost``. Only once it is ``done``."""
        ...


class Worker(Protocol):
    """A process on a machine of the cluster that is started again, there or elsewhere, when it has died."""

    @property
    def capacity(self) -> int:
        """Calls that it is given at a time."""
        ...

    def ask(self) -> Call:
        """Ask who it is (an ``Identity`` or ``Refusal``); the answer comes once it has been started, or started again."""
        ...

    def send(self, argument: Any) -> Call:
        """Give it work."""
        ...


@dataclass(slots=True, eq=False)
class _Member:
    """A worker as it is known here: ``asked`` who it is, then ``identity`` while it can work, with ``busy`` calls at it."""

    worker: Worker
    asked: Call | None
    identity: Identity | None = None
    busy: int = 0


class Dispatcher:
    """Workers of one ``kind``, each checked by ``check`` before it is given anything; safe to use from several threads."""

    def __init__(
        self,
        kind: str,
        workers: Sequence[Worker],
        check: Callable[[Identity], None],
        *,
        gone_s: float = _GONE_S,
    ) -> None:
        self._kind, self._check, self._gone_s = kind, check, gone_s
        self._members = [_Member(worker, worker.ask()) for worker in workers]
        self._changed = threading.Condition(threading.RLock())  # look() is called within
        self._closed = False
        self._calls = 0
        self._failure: Exception | None = None

    def call(self, argument: Any) -> Any:
        """What a worker makes of ``argument``. Waits while all have as much as they can take.

        Raises what the work raised; ``Unavailable`` if no worker is left, or all die over it; and what ``check`` raises of one
        that has joined.
        """
        for _ in range(_ATTEMPTS):
            member = self._take()
            try:
                return self._result(member.worker.send(argument))
            except WorkerLost as lost:
                log.warning("cluster.worker_lost", kind=self._kind, detail=str(lost))
                self._lost(member)
            except ResultLost as lost:
                log.warning("cluster.result_lost", kind=self._kind, detail=str(lost))
            finally:
                with self._changed:
                    member.busy -= 1
                    self._calls -= 1
                    self._changed.notify_all()
        raise Unavailable(
            f"{_ATTEMPTS} workers of the cluster died over the same work ({self._kind}), so it was given up: what was stored "
            "stays, and the next run goes on from there.",
            code="cluster_unavailable",
        )

    def look(self) -> int:
        """Check those who have answered who they are; how many can work. Raises as ``call`` does."""
        with self._changed:
            for member in self._members:
                if member.asked is not None and member.asked.done(0):
                    self._welcome(member, member.asked)
            if self._failure is not None:
                raise self._failure
            return sum(member.identity is not None for member in self._members)

    def awaited(self) -> int:
        """How many have not answered yet."""
        return sum(member.asked is not None for member in self._members)

    def identities(self) -> list[Identity]:
        """Those who can work."""
        return [member.identity for member in self._members if member.identity is not None]

    def close(self) -> None:
        """End all calls, on this side only; returns when they have ended."""
        deadline = time.monotonic() + 10 * _POLL_S
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while self._calls and time.monotonic() < deadline:
                self._changed.wait(_POLL_S)

    def _welcome(self, member: _Member, asked: Call) -> None:
        member.asked = None
        try:
            answer: Identity | Refusal = asked.result()
            identity = raised(answer)
            self._check(identity)
        except (WorkerLost, ResultLost) as lost:
            self._failure = self._failure or Unavailable(
                f"A worker of the cluster could not be started ({self._kind}): {lost}", code="cluster_unavailable"
            )
        except Exception as error:  # noqa: BLE001 - raised by look()
            self._failure = self._failure or error
        else:
            member.identity = identity
            self._changed.notify_all()

    def _take(self) -> _Member:
        """A worker with room for a call, which is counted already."""
        alone_since: float | None = None
        while True:
            with self._changed:
                self._end_if_closed()
                up = self.look()
                free = [m for m in self._members if m.identity is not None and m.busy < m.worker.capacity]
                if free:
                    member = min(free, key=lambda each: each.busy / each.worker.capacity)
                    member.busy += 1
                    self._calls += 1
                    return member
                alone_since = None if up else alone_since or time.monotonic()
                if alone_since is not None and time.monotonic() - alone_since > self._gone_s:
                    raise Unavailable(
                        f"The cluster has had no worker left ({self._kind}) for {self._gone_s:g} seconds: what was stored "
                        "stays, and the next run goes on from there.",
                        code="cluster_unavailable",
                    )
                self._changed.wait(_POLL_S)

    def _result(self, call: Call) -> Any:
        while not call.done(_POLL_S):
            self._end_if_closed()
        return call.result()

    def _end_if_closed(self) -> None:
        if self._closed:
            raise Unavailable("The work on the cluster was ended.", code="cluster_closed")

    def _lost(self, member: _Member) -> None:
        with self._changed:
            if member.identity is not None:
                member.identity, member.asked = None, member.worker.ask()
