from __future__ import annotations

import threading

import pytest

from ingest.lanes import Lanes


def test_one_lane_works_in_the_calling_thread() -> None:
    at: list[threading.Thread] = []
    with Lanes(1) as lanes:
        lanes.run(lambda: at.append(threading.current_thread()))
    assert at == [threading.current_thread()]


def test_as_much_runs_at_a_time_as_there_are_lanes() -> None:
    both, third = threading.Barrier(2, timeout=10), threading.Event()
    with Lanes(2) as lanes:
        lanes.run(lambda: both.wait() and None)
        lanes.run(lambda: both.wait() and None)  # ends only if the first one runs at the same time
        lanes.run(third.set)
        lanes.wait()
        assert third.is_set()


def test_no_more_is_begun_than_there_are_lanes() -> None:
    begun, go = [], threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        go.wait(10)

    def ask() -> None:
        for number in range(3):
            lanes.run(lambda number=number: work(number))  # type: ignore[misc]

    with Lanes(2) as lanes:
        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(0.3)
        assert asking.is_alive()
        assert sorted(begun) == [0, 1]
        go.set()
        asking.join(10)
    assert sorted(begun) == [0, 1, 2]


@pytest.mark.parametrize("width", [1, 3])
def test_a_failure_is_raised_and_nothing_new_is_begun(width: int) -> None:
    done: list[int] = []

    def fail() -> None:
        raise KeyError("lost")

    def ask() -> None:
        with Lanes(width) as lanes:
            lanes.run(lambda: done.append(1))
            lanes.run(fail)
            lanes.wait()
            lanes.run(lambda: done.append(2))

    with pytest.raises(KeyError, match="lost"):
        ask()
    assert done == [1]


def test_a_failure_of_the_last_piece_is_raised_at_the_end() -> None:
    def fail() -> None:
        raise KeyError("lost")

    def ask() -> None:
        with Lanes(2) as lanes:
            lanes.run(fail)

    with pytest.raises(KeyError, match="lost"):
        ask()


def test_leaving_by_an_exception_waits_for_what_runs() -> None:
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(10)
        done.set()

    def ask() -> None:
        with Lanes(2) as lanes:
            lanes.run(work)
            threading.Timer(0.1, go.set).start()
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        ask()
    assert done.is_set()
