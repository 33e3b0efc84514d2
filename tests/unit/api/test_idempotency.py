"""Claims on an ``Idempotency-Key``: one first, its repeats, and what an abandoned one leaves."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from api.idempotency import _claim, _Kept, _read_body, _settle
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


def read(content_type: str, body: bytes, piece: int = 300_000) -> tuple[bytes, int, bytes]:
    """What stands for an upload of ``body``, how much was read for it, and what the route then receives."""
    starts = range(0, len(body), piece)
    messages: list[Any] = [
        {"type": "http.request", "body": body[at : at + piece], "more_body": at + piece < len(body)} for at in starts
    ]
    given = 0

    async def receive() -> Any:
        nonlocal given
        given += 1
        return messages[given - 1]

    async def run() -> tuple[bytes, int, bytes]:
        headers = {b"content-type": content_type.encode(), b"content-length": str(len(body)).encode()}
        stands_for, again = await _read_body(headers, receive)
        read_for_it, passed = given, b""
        while True:
            message = await again()
            passed += message["body"]
            if not message["more_body"]:
                return stands_for, min(read_for_it * piece, len(body)), passed

    return asyncio.run(run())


def upload(boundary: str, content: bytes) -> tuple[str, bytes]:
    return f'multipart/form-data; boundary="{boundary}"', b"--%b\r\n\r\n%b\r\n--%b--" % (
        boundary.encode(), content, boundary.encode()
    )  # fmt: skip


def test_an_upload_sent_again_is_the_same_whatever_its_boundary() -> None:
    first, again = read(*upload("aaaa", b"x" * 700_000)), read(*upload("bbbb", b"x" * 700_000))
    assert first[0] == again[0]


def test_an_upload_of_the_same_length_with_other_content_is_another() -> None:
    assert read(*upload("aaaa", b"x" * 700_000))[0] != read(*upload("aaaa", b"x" * 699_999 + b"y"))[0]


def test_a_large_upload_is_read_only_in_part_and_passed_on_whole() -> None:
    kind, body = upload("aaaa", bytes(range(256)) * 20_000)
    _, read_for_it, passed = read(kind, body)
    assert read_for_it < 2_000_000 < len(body)
    assert passed == body


def test_json_is_compared_whole_and_passed_on() -> None:
    body = b'{"a": "%b"}' % (b"x" * 2_000_000)
    stands_for, read_for_it, passed = read("application/json", body)
    assert (stands_for, read_for_it, passed) == (body, len(body), body)
