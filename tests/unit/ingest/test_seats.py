from __future__ import annotations

import pytest

from ingest.seats import Machine, Seat, seats_of


@pytest.mark.parametrize(
    ("cpus", "seats"),
    [
        (1, [Seat("encoder", "a", 0.5), Seat("parser", "a", 0.5)]),
        (2, [Seat("encoder", "a", 1.0), Seat("parser", "a", 1.0)]),
        (8, [Seat("encoder", "a", 6.0), Seat("parser", "a", 2.0, at_once=2)]),
        (
            96,
            [
                Seat("encoder", "a", 72.0),
                Seat("parser", "a", 16.0, at_once=16),
                Seat("parser", "a", 8.0, at_once=8),
            ],
        ),
    ],
)
def test_without_gpus_most_of_a_machine_embeds(cpus: float, seats: list[Seat]) -> None:
    assert seats_of([Machine("a", cpus)]) == seats


def test_with_gpus_they_embed_and_the_processors_read() -> None:
    assert seats_of([Machine("gpu", 8, 2), Machine("cpu", 4)]) == [
        Seat("encoder", "gpu", 1.0, 1),
        Seat("encoder", "gpu", 1.0, 1),
        Seat("parser", "gpu", 6.0, at_once=6),
        Seat("parser", "cpu", 4.0, at_once=4),
    ]


def test_a_machine_with_as_many_gpus_as_processors_still_reads() -> None:
    assert seats_of([Machine("a", 4, 4)]) == [
        *[Seat("encoder", "a", 0.5, 1)] * 4,
        Seat("parser", "a", 2.0, at_once=2),
    ]


def test_a_machine_without_processors_gets_no_worker() -> None:
    assert seats_of([Machine("head", 0), Machine("a", 2)]) == seats_of([Machine("a", 2)])
    assert seats_of([]) == []
