"""A Ray cluster as an ``ingest.cluster.Cluster``, and the only file that knows Ray.

Ray starts the workers where there is room, and again where a machine has died; ``ingest.dispatch`` decides how much is sent to
which, and what is sent again, so that no more is in flight than there is work for.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

# Before the import. Nothing phones home; and workers that ask for no GPU see none.
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="1")

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from infra.errors import InvalidInput, Unavailable
from ingest.cluster import Refusal, Shipment, check_identity, identity_of
from ingest.cluster_worker import EncodeWorker, PrepareWorker, WorkerSettings
from ingest.dispatch import Dispatcher, ResultLost, WorkerLost
from ingest.prepare import Prepared
from ingest.seats import Machine, Seat, seats_of
from retrieval.encoders.encoder import Encoder

# Loading a model and starting parsers takes seconds, fetching a model from a hub minutes.
_START_S = 300.0
# How long the others are waited for once there is a worker of each kind.
_OTHERS_S = 30.0
_CONNECT_S = 10.0
_LOCAL_STORE = 512 * 2**20


class RayCall:
    """Implements ``ingest.dispatch.Call``."""

    def __init__(self, reference: Any) -> None:
        self._reference = reference

    def done(self, timeout_s: float) -> bool:
        """See ``Call``."""
        return bool(ray.wait([self._reference], timeout=timeout_s)[0])

    def result(self) -> Any:
        """See ``Call``."""
        try:
            return ray.get(self._reference)
        except RayTaskError:
            raise  # what the work itself raised
        except RayActorError as error:
            raise WorkerLost(_reason(error)) from error
        except RayError as error:
            raise ResultLost(_reason(error)) from error


class RayWorker:
    """Implements ``ingest.dispatch.Worker``: an actor, which Ray starts again as often as it dies."""

    def __init__(self, settings: WorkerSettings, seat: Seat) -> None:
        options: dict[str, Any] = {
            "num_cpus": seat.cpus,
            "num_gpus": seat.gpus,
            "max_restarts": -1,
            # Where its machine has died, another one will do.
            "scheduling_strategy": NodeAffinitySchedulingStrategy(seat.machine, soft=True),
        }
        actor: Any
        # One call or more wait at the worker, so that sending takes no time from it.
        if seat.kind == "encoder":
            self.capacity = 2
            actor = ray.remote(**options)(EncodeWorker).remote(settings)
            self._method = actor.encode
        else:
            self.capacity = seat.at_once + 1 + seat.at_once // 2
            options["max_concurrency"] = seat.at_once
            actor = ray.remote(**options)(PrepareWorker).remote(settings, seat.at_once)
            self._method = actor.prepare
        self._actor = actor

    def ask(self) -> RayCall:
        """See ``Worker``."""
        return RayCall(self._actor.identity.options(max_task_retries=-1).remote())

    def send(self, argument: Any) -> RayCall:
        """See ``Worker``."""
        return RayCall(self._method.remote(argument))


class RayCluster:
    """Implements ``Cluster``; make one with ``open_ray``. ``sent`` counts documents, their bytes, and texts.

    ``parsing`` and ``encoding`` give the work out.
    """

    def __init__(self, settings: WorkerSettings, seats: Sequence[Seat], encoder: Encoder) -> None:
        ours = identity_of(encoder, os.getpid())
        parsers = [seat for seat in seats if seat.kind == "parser"]
        encoders = [seat for seat in seats if seat.kind == "encoder"]
        self.parsers, self.encoders = sum(seat.at_once for seat in parsers), len(encoders)
        self.sent = {"documents": 0, "bytes": 0, "texts": 0}
        self._lock = threading.Lock()
        self.parsing = Dispatcher(
            "reading", [RayWorker(settings, seat) for seat in parsers], lambda theirs: check_identity(ours, theirs)
        )
        self.encoding = Dispatcher(
            "embedding", [RayWorker(settings, seat) for seat in encoders], lambda theirs: check_identity(ours, theirs)
        )

    def prepare(self, shipment: Shipment) -> Prepared | Refusal:
        """See ``Cluster``."""
        self._count(documents=1, bytes=len(shipment.item.data or shipment.item.text or ""))
        return cast("Prepared | Refusal", self.parsing.call(shipment))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32] | Refusal:
        """See ``Cluster``."""
        self._count(texts=len(texts))
        return cast("NDArray[np.float32] | Refusal", self.encoding.call(list(texts)))

    def await_workers(self) -> None:
        """Wait until there are workers of both kinds, and a little for the others; raises as the calls do."""
        both = (self.parsing, self.encoding)
        began = time.monotonic()
        enough: float | None = None
        while any(each.awaited() for each in both):
            if all([each.look() for each in both]):  # noqa: C419 - all of them are to be looked at
                enough = enough or time.monotonic()
                if time.monotonic() - enough > _OTHERS_S:
                    return
            elif time.monotonic() - began > _START_S:
                raise Unavailable(
                    f"The cluster started no workers within {_START_S:g} seconds: are its processors taken by other work?",
                    code="cluster_unavailable",
                )
            time.sleep(0.1)

    def close(self) -> None:
        """End what is under way on this side; Ray ends the workers with the connection."""
        self.parsing.close()
        self.encoding.close()

    def _count(self, **sent: int) -> None:
        with self._lock:
            for name, number in sent.items():
                self.sent[name] += number


@contextmanager
def open_ray(
    address: str, settings: WorkerSettings, encoder: Encoder, *, cpus: int | None = None
) -> Iterator[RayCluster]:
    """Workers on the Ray cluster at ``address``, checked to be like ``encoder``; they end with the block.

    ``local`` starts a cluster of this machine (with ``cpus`` of its processors, or all), ``auto`` joins the one that this machine
    is part of, ``HOST:PORT`` and ``ray://HOST:PORT`` the one there. Raises ``InvalidInput`` for any other address,
    ``Unavailable`` if there is no cluster or it starts no workers, and ``Conflict`` if they are not like ``encoder``.
    """
    check_address(address)
    _connect(address, cpus)
    try:
        seats = seats_of(_machines())
        if not {"parser", "encoder"} <= {seat.kind for seat in seats}:
            raise Unavailable("The Ray cluster has no processors to work with.", code="cluster_unavailable")
        cluster = RayCluster(settings, seats, encoder)
        try:
            cluster.await_workers()
            yield cluster
        finally:
            cluster.close()
    finally:
        ray.shutdown()


def check_address(address: str) -> None:
    """Raise ``InvalidInput`` for an address that no cluster can have."""
    host, port = _host_and_port(address)
    if address not in ("local", "auto") and not (host and port.isdecimal() and int(port) < 65536):
        raise InvalidInput(
            f"--ray is {address!r}; allowed: local, auto, HOST:PORT or ray://HOST:PORT.", code="invalid_address"
        )


def _host_and_port(address: str) -> tuple[str, str]:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    return host.strip("[]"), port


def _connect(address: str, cpus: int | None) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        # A secret of this run's own: else Ray would write one into the user's home.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        options |= {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": _LOCAL_STORE}
    try:
        if address not in ("local", "auto"):  # Ray itself tries for a minute
            host, port = _host_and_port(address)
            socket.create_connection((host, int(port)), _CONNECT_S).close()
        ray.init(address=address, **options)
    except (OSError, RuntimeError, ValueError, ImportError, RayError) as error:
        raise Unavailable(
            f"The Ray cluster {address!r} could not be reached: {_reason(error)} (A cluster that asks for a token wants "
            "RAY_AUTH_MODE=token, and the file that holds it in RAY_AUTH_TOKEN_PATH.)",
            code="cluster_unavailable",
        ) from error


def _machines() -> list[Machine]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [
        Machine(node["NodeID"], node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in nodes
        if node["Alive"]
    ]


def _reason(error: Exception) -> str:
    """One line of what Ray says, and what to do about a machine that lacks this program."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    errors = [line for line in lines if "Error:" in line]
    reason = (errors or lines or [type(error).__name__])[-1 if errors else 0]
    missing = "ModuleNotFoundError" in reason
    return f"{reason} (install the same version of Footnote on each of its machines)" if missing else reason
