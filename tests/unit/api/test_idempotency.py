"""Claims on an ``Idempotency-Key``: one first, its repeats, and what an abandoned one leaves."""

from __future__ import annotations

from datetime import timedelta

import pytest

from api.idempotency import _claim, _Kept, _settle
from infra.clock import now
from infra.database import Database
from infra.errors import Conflict, InvalidInput
from infra.tables import IdempotentResponse

KEPT = _Kept(201, b'{"a":1}', b"application/json")


def age(database: Database, delta: timedelta) -> None:
    with database.write() as session:
        row = session.get_one(IdempotentResponse, ("me", "k"))
        row.created_at = now() - delta


def test_the_first_works_and_repeats_get_its_response(database: Database) -> None:
    assert _claim(database, "me", "k", "r") is None
    with pytest.raises(Conflict) as caught:
        _claim(database, "me", "k", "r")
    assert caught.value.code == "request_in_progress"
    _settle(database, "me", "k", KEPT)
    assert _claim(database, "me", "k", "r") == KEPT
    with pytest.raises(InvalidInput) as reused:
        _claim(database, "me", "k", "other")
    assert reused.value.code == "idempotency_key_reused"
    assert _claim(database, "you", "k", "other") is None


def test_a_failure_frees_the_key(database: Database) -> None:
    assert _claim(database, "me", "k", "r") is None
    _settle(database, "me", "k", None)
    assert _claim(database, "me", "k", "other") is None


def test_an_abandoned_claim_is_taken_over(database: Database) -> None:
    """The process died before it answered."""
    assert _claim(database, "me", "k", "r") is None
    age(database, timedelta(minutes=9))
    with pytest.raises(Conflict):
        _claim(database, "me", "k", "r")
    age(database, timedelta(minutes=11))
    assert _claim(database, "me", "k", "r") is None
    with pytest.raises(Conflict):
        _claim(database, "me", "k", "r")


def test_a_response_is_kept_for_a_day(database: Database) -> None:
    _claim(database, "me", "k", "r")
    _settle(database, "me", "k", KEPT)
    age(database, timedelta(hours=23))
    assert _claim(database, "me", "k", "r") == KEPT
    age(database, timedelta(hours=25))
    assert _claim(database, "me", "k", "r") is None
