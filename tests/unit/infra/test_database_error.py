"""What a database's errors mean to a caller."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from infra.database_error import database_error
from infra.errors import Busy, FootnoteError, StorageFull, Unavailable


class ServerError(Exception):
    """An error as PostgreSQL's driver raises it."""

    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate


def of_sqlite(code: int) -> FootnoteError | None:
    original = sqlite3.OperationalError()
    original.sqlite_errorcode = code
    return database_error(OperationalError("INSERT", {}, original))


def of_postgresql(state: str | None) -> FootnoteError | None:
    return database_error(OperationalError("INSERT", {}, ServerError(state)))


@pytest.mark.parametrize(
    ("told", "kind", "code", "status"),
    [
        (of_sqlite(sqlite3.SQLITE_FULL), StorageFull, "insufficient_storage", 507),
        (of_sqlite(sqlite3.SQLITE_BUSY), Busy, "database_busy", 503),
        (of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), Busy, "database_busy", 503),
        (of_sqlite(sqlite3.SQLITE_IOERR_WRITE), Unavailable, "database_unavailable", 503),
        (of_sqlite(sqlite3.SQLITE_CANTOPEN), Unavailable, "database_unavailable", 503),
        (of_postgresql("53100"), StorageFull, "insufficient_storage", 507),
        (of_postgresql("55P03"), Busy, "database_busy", 503),
        (of_postgresql("40P01"), Busy, "database_busy", 503),
        (of_postgresql("53300"), Busy, "database_busy", 503),
        (of_postgresql("57P01"), Unavailable, "database_unavailable", 503),
        (of_postgresql("08006"), Unavailable, "database_unavailable", 503),
        (database_error(PoolTimeout()), Busy, "database_busy", 503),
    ],
)
def test_what_passes_has_a_name(told: FootnoteError | None, kind: type[FootnoteError], code: str, status: int) -> None:
    assert type(told) is kind
    assert (told.code, told.status) == (code, status)
    assert told.detail.endswith(".")


def test_a_defect_stays_as_it_is() -> None:
    assert of_sqlite(sqlite3.SQLITE_ERROR) is None
    assert of_postgresql("42P01") is None
    assert database_error(IntegrityError("INSERT", {}, ServerError("23505"))) is None


def test_a_connection_that_broke_is_told_by_its_flag() -> None:
    broken = DBAPIError("SELECT", {}, ServerError(None), connection_invalidated=True)
    told = database_error(broken)
    assert told is not None
    assert told.code == "database_unavailable"
