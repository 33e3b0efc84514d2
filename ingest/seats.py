"""Where on a cluster the workers sit: which of a machine's processors read documents, and which embed them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

# Threads of one reading process: beyond these Python's lock, under which documents are cut, holds them up.
_MOST_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of the cluster, and what it has."""

    id: str
    cpus: float
    gpus: float = 0


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker process: where, what it takes of the machine, and how many documents it reads at a time."""

    kind: Literal["parser", "encoder"]
    machine: str
    cpus: float
    gpus: float = 0
    at_once: int = 1


def seats_of(machines: Iterable[Machine]) -> list[Seat]:
    """The workers of a cluster, which take all of it.

    With GPUs, there is an encoder for each and the processors read. Without, embedding takes far longer than reading: each
    machine gets one encoder with three quarters of its processors.
    """
    useful = [machine for machine in machines if machine.cpus > 0]
    on_gpus = any(machine.gpus >= 1 for machine in useful)
    seats: list[Seat] = []
    for machine in useful:
        encoders = int(machine.gpus) if on_gpus else 1
        reading = machine.cpus - encoders if on_gpus else max(1.0, machine.cpus // 4)
        if machine.cpus <= encoders:  # they share what there is
            reading = machine.cpus / 2
        if encoders:
            each = (machine.cpus - reading) / encoders
            seats += [Seat("encoder", machine.id, each, 1 if on_gpus else 0)] * encoders
        while reading > 0:
            cpus = min(reading, float(_MOST_AT_ONCE))
            seats.append(Seat("parser", machine.id, cpus, at_once=max(1, int(cpus))))
            reading -= cpus
    return seats
