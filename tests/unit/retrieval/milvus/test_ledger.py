"""The ledger of the indexes in Milvus: one writer at a time, and one step that publishes."""

import threading
import time
from dataclasses import replace

import pytest
from sqlalchemy import Engine, event

from infra.errors import Busy
from retrieval.milvus import ledger as ledger_module
from retrieval.milvus.ledger import LostClaim, Standing, open_ledger


@pytest.fixture
def ledgers(database):
    opened = [open_ledger(database, expiry_s=0.2) for _ in range(2)]
    yield opened
    for ledger in opened:
        ledger.close()


def test_a_publication_is_seen_by_all_and_a_failed_block_publishes_nothing(ledgers):
    one, other = ledgers
    assert one.read("x") == Standing()
    with one.writing("x", 1.0) as standing:
        assert (standing.stamp, standing.built, standing.dirty) == (0, False, False)
        one.beat("x")
        one.publish("x", standing, replace(standing, stamp=1, seq=7, built=True))
    assert replace(other.read("x"), beat=0) == Standing(stamp=1, seq=7, built=True)

    def fail():
        with other.writing("x", 1.0):
            other.beat("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    after = one.read("x")
    assert (after.stamp, after.seq, after.dirty, after.owner) == (1, 7, True, None)


class Clock:
    """Time that passes when a test says so; ``looked`` counts the looks of who waits for a claim."""

    def __init__(self):
        self.now, self.looked = 0.0, threading.Semaphore(0)

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.looked.release()
        time.sleep(0.001)


def test_a_second_writer_waits_for_what_the_first_does(ledgers, monkeypatch):
    one, other = ledgers
    clock, answers = Clock(), []
    monkeypatch.setattr(ledger_module, "time", clock)

    def wait():
        with other.writing("x", 10.0, lambda standing: standing.seq >= 5) as standing:
            answers.append(standing)

    with one.writing("x", 1.0) as standing:
        thread = threading.Thread(target=wait)
        thread.start()
        for _ in range(6):  # longer than the expiry in all, but it beats
            while clock.looked.acquire(blocking=False):
                pass
            clock.looked.acquire(timeout=60)
            clock.looked.acquire(timeout=60)  # so one whole look was after the last beat
            clock.now += 0.15
            one.beat("x")
        assert answers == []
        one.publish("x", standing, replace(standing, stamp=1, seq=5))
        thread.join(60)
    assert answers == [None], "it found done what it wanted"


def test_two_processes_may_open_the_first_ledger_at_once(sqlite_database):
    """The second one creates it between the first one's look and its own creation."""
    created = []

    def meanwhile(connection, cursor, statement, *more):
        if statement.strip().upper().startswith("CREATE TABLE") and not created:
            created.append(statement)
            open_ledger(sqlite_database).close()

    event.listen(Engine, "before_cursor_execute", meanwhile)
    try:
        ledger = open_ledger(sqlite_database)
    finally:
        event.remove(Engine, "before_cursor_execute", meanwhile)
    assert len(created) == 1
    assert ledger.read("x") == Standing()
    ledger.close()


def test_a_writer_is_not_waited_for_without_end(ledgers, database):
    patient = open_ledger(database, expiry_s=60.0)
    with ledgers[0].writing("x", 1.0), pytest.raises(Busy) as caught, patient.writing("x", 0.1):
        pass
    patient.close()
    assert caught.value.code == "index_behind"


def test_a_writer_that_stopped_is_replaced_and_can_publish_no_more(ledgers):
    one, other = ledgers
    with one.writing("x", 1.0) as slow:
        with other.writing("x", 5.0) as standing:  # after the expiry
            assert standing.dirty, "what the first left behind is not known"
            other.publish("x", standing, replace(standing, stamp=1, seq=9))
            with pytest.raises(LostClaim):
                one.beat("x")
        with pytest.raises(LostClaim):
            one.publish("x", slow, replace(slow, stamp=1, seq=3))
    assert (one.read("x").stamp, one.read("x").seq) == (1, 9)


def test_a_writer_whose_process_ended_is_replaced_at_once(database):
    ledger = open_ledger(database, expiry_s=60.0)
    me, _, number = ledger._me.partition("#")
    host, pid, started = me.rsplit(":", 2)
    dead = open_ledger(database, expiry_s=60.0)
    dead._me = f"{host}:{pid}:{int(started) - 5}#{number}"  # another process had this pid
    claim = dead.writing("x", 1.0)
    claim.__enter__()
    with ledger.writing("x", 0.5) as standing:
        assert standing.dirty
    claim.__exit__(None, None, None)
    ledger.close()
    dead.close()
