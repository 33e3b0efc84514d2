from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from infra.errors import Conflict, Unavailable
from ingest.cluster import Identity, Refusal
from ingest.dispatch import Dispatcher, ResultLost, WorkerLost

ME = Identity("a", 1, "hashing", 64, 256, ())


class Answer:
    """Implements ``Call``: ``value`` or, if it is an exception, what is raised; from when ``ready`` is set."""

    def __init__(self, value: Any, ready: threading.Event | None = None) -> None:
        self.value, self.ready = value, ready

    def done(self, timeout_s: float) -> bool:
        return self.ready is None or self.ready.wait(timeout_s)

    def result(self) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Scripted:
    """Implements ``Worker``: gives the answers of ``script`` in turn, then doubles its argument."""

    def __init__(self, *script: Any, capacity: int = 1, who: Any = ME) -> None:
        self.script, self.capacity, self.who = list(script), capacity, who
        self.given: list[Any] = []
        self.asked = 0

    def ask(self) -> Answer:
        self.asked += 1
        return self.who if isinstance(self.who, Answer) else Answer(self.who)

    def send(self, argument: Any) -> Answer:
        self.given.append(argument)
        if self.script:
            made = self.script.pop(0)
            return made if isinstance(made, Answer) else Answer(made)
        return Answer(2 * argument)


def welcome(_: Identity) -> None:
    pass


def test_work_goes_to_the_one_that_has_the_least_to_do() -> None:
    held = threading.Event()
    first, second = Scripted(Answer("slow", held), capacity=2), Scripted(capacity=2)
    pool = Dispatcher("reading", [first, second], welcome)
    slow = threading.Thread(target=pool.call, args=(0,))
    slow.start()
    while not first.given:
        pass
    assert [pool.call(n) for n in (1, 2, 3)] == [2, 4, 6]
    assert (first.given, second.given) == ([0], [1, 2, 3])
    held.set()
    slow.join(10)


def test_a_worker_is_given_no_more_than_it_takes() -> None:
    held = threading.Event()
    only = Scripted(*[Answer("slow", held)] * 3, capacity=2)
    pool = Dispatcher("reading", [only], welcome)
    threads = [threading.Thread(target=pool.call, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    threads[2].join(0.3)
    assert len(only.given) == 2
    held.set()
    for thread in threads:
        thread.join(10)
    assert len(only.given) == 3


def test_work_of_a_worker_that_died_is_done_again() -> None:
    dying = Scripted(WorkerLost("killed"), WorkerLost("killed too"))
    pool = Dispatcher("reading", [dying], welcome)
    assert pool.call(4) == 8
    assert dying.given == [4, 4, 4]
    assert dying.asked == 3  # who it is, before it is given anything again


def test_a_worker_that_died_gets_nothing_until_it_is_back() -> None:
    back = threading.Event()
    dying, other = Scripted(WorkerLost("killed"), capacity=9), Scripted(capacity=9)
    pool = Dispatcher("reading", [dying, other], welcome)
    pool.look()
    dying.who = Answer(ME, back)
    assert [pool.call(n) for n in (1, 2, 3)] == [2, 4, 6]
    assert dying.given == [1]
    assert pool.look() == 1
    back.set()
    assert pool.look() == 2


def test_a_lost_result_is_made_again() -> None:
    pool = Dispatcher("reading", [Scripted(ResultLost("its machine is gone"))], welcome)
    assert pool.call(4) == 8


def test_work_that_every_worker_dies_of_is_given_up() -> None:
    worker = Scripted(*[WorkerLost("killed")] * 99)
    with pytest.raises(Unavailable, match="4 workers of the cluster died over the same work"):
        Dispatcher("reading", [worker], welcome).call(1)
    assert len(worker.given) == 4


def test_what_the_work_raises_is_raised() -> None:
    worker = Scripted(ValueError("too long"))
    with pytest.raises(ValueError, match="too long"):
        Dispatcher("reading", [worker], welcome).call(1)
    assert len(worker.given) == 1


def refuse(identity: Identity) -> None:
    raise Conflict(f"{identity.encoder} is another encoder")


@pytest.mark.parametrize(
    ("who", "check", "said"),
    [
        (ME, refuse, "hashing is another encoder"),
        (Refusal("SettingsError", "bad_setting", "OCR is not installed."), welcome, "OCR is not installed"),
        (WorkerLost("ModuleNotFoundError: ingest"), welcome, "could not be started .*ModuleNotFoundError: ingest"),
    ],
)
def test_a_worker_that_is_not_as_it_should_be_is_given_nothing(
    who: Any, check: Callable[[Identity], None], said: str
) -> None:
    worker = Scripted(who=who)
    pool = Dispatcher("reading", [Scripted(), worker], check)
    with pytest.raises(Exception, match=said):
        pool.look()
    with pytest.raises(Exception, match=said):
        pool.call(1)
    assert worker.given == []


def test_a_cluster_without_workers_counts_as_gone_after_a_while() -> None:
    worker = Scripted(who=Answer(ME, threading.Event()))
    with pytest.raises(Unavailable, match="no worker left"):
        Dispatcher("reading", [worker], welcome, gone_s=0.05).call(1)


def test_closing_ends_calls() -> None:
    pool = Dispatcher("reading", [Scripted(Answer(1, threading.Event()))], welcome)
    raised: list[Exception] = []

    def call() -> None:
        try:
            pool.call(1)
        except Unavailable as error:
            raised.append(error)

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    pool.close()
    for thread in threads:
        thread.join(10)
    assert [str(error) for error in raised] == ["The work on the cluster was ended."] * 2
